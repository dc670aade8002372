"""Hugging Face: a callback watches the training of a Trainer. Nothing is downloaded."""

import torch
from torch.utils.data import Dataset
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

from relume.integrations.huggingface import WatchCallback


class Tokens(Dataset):
    def __init__(self, rows):
        self.ids = torch.randint(5, 40, (rows, 8))

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, index):
        return {"input_ids": self.ids[index], "labels": self.ids[index, 0] % 2}


def main():
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=40,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        hidden_act="relu",
        max_position_embeddings=8,
    )
    arguments = TrainingArguments(
        output_dir="checkpoints",
        max_steps=40,
        per_device_train_batch_size=16,
        learning_rate=1e-3,
        logging_steps=10,
        eval_strategy="steps",
        eval_steps=20,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
    )
    trainer = Trainer(
        BertForSequenceClassification(config),
        arguments,
        train_dataset=Tokens(512),
        eval_dataset=Tokens(64),
        callbacks=[WatchCallback(out="watched")],
    )
    trainer.train()


if __name__ == "__main__":
    main()
