"""The Trainer of Hugging Face on a tiny BERT with random weights; nothing is downloaded."""

import sys

import torch
from fingerprint import print_fingerprint
from torch.utils.data import Dataset
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PrinterCallback,
    Trainer,
    TrainingArguments,
)

# sees bert.encoder.layer.0.intermediate.intermediate_act_fn 24 @ modeling_bert.py
# sees bert.encoder.layer.1.intermediate.intermediate_act_fn 24 @ modeling_bert.py
# sees bert.pooler.activation 16 @ modeling_bert.py


class Tokens(Dataset):
    def __init__(self, rows):
        self.ids = torch.randint(5, 40, (rows, 8))

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, index):
        return {"input_ids": self.ids[index], "labels": self.ids[index, 0] % 2}


def main(folder):
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = BertConfig(
        vocab_size=40, intermediate_size=24, hidden_act="relu", max_position_embeddings=8, **shape
    )
    model = BertForSequenceClassification(config)
    arguments = TrainingArguments(
        output_dir=folder,
        use_cpu=True,
        max_steps=8,  # steps 8
        per_device_train_batch_size=8,
        learning_rate=1e-3,
        report_to=[],
        save_strategy="no",
        eval_strategy="steps",
        eval_steps=4,
        disable_tqdm=True,
        seed=1,
    )
    trainer = Trainer(model, arguments, train_dataset=Tokens(64), eval_dataset=Tokens(16))
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    print(f"{trainer.evaluate()['eval_loss']:.6f}")
    print_fingerprint(model)


main(sys.argv[1])
