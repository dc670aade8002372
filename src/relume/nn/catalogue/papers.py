"""Where the activations come from."""

from relume.nn.facts import Paper

WIDROW_1960 = Paper(
    "Bernard Widrow, Marcian E. Hoff",
    "Adaptive Switching Circuits",
    1960,
    "IRE WESCON Convention Record, part 4, pages 96-104",
)
FUKUSHIMA_1969 = Paper(
    "Kunihiko Fukushima",
    "Visual Feature Extraction by a Multilayered Network of Analog Threshold Elements",
    1969,
    "IEEE Transactions on Systems Science and Cybernetics 5(4), doi:10.1109/TSSC.1969.300225",
)
FUKUSHIMA_1975 = Paper(
    "Kunihiko Fukushima",
    "Cognitron: A Self-Organizing Multilayered Neural Network",
    1975,
    "Biological Cybernetics 20, pages 121-136",
)
RUMELHART_1986 = Paper(
    "David E. Rumelhart, Geoffrey E. Hinton, Ronald J. Williams",
    "Learning Representations by Back-Propagating Errors",
    1986,
    "Nature 323, pages 533-536",
)
BRIDLE_1990 = Paper(
    "John S. Bridle",
    "Training Stochastic Model Recognition Algorithms as Networks Can Lead to Maximum Mutual "
    "Information Estimation of Parameters",
    1990,
    "NIPS 2 (conference of 1989)",
)
LECUN_1998 = Paper(
    "Yann LeCun, Léon Bottou, Genevieve B. Orr, Klaus-Robert Müller",
    "Efficient BackProp",
    1998,
    "Neural Networks: Tricks of the Trade, Springer",
)
DUGAS_2001 = Paper(
    "Charles Dugas, Yoshua Bengio, François Bélisle, Claude Nadeau, René Garcia",
    "Incorporating Second-Order Functional Knowledge for Better Option Pricing",
    2001,
    "NIPS 13 (conference of 2000)",
)
BERGSTRA_2009 = Paper(
    "James Bergstra, Guillaume Desjardins, Pascal Lamblin, Yoshua Bengio",
    "Quadratic Polynomials Learn Better Image Features",
    2009,
    "Technical report 1337, DIRO, Université de Montréal",
)
NAIR_2010 = Paper(
    "Vinod Nair, Geoffrey E. Hinton",
    "Rectified Linear Units Improve Restricted Boltzmann Machines",
    2010,
    "ICML 2010",
)
KRIZHEVSKY_2010 = Paper(
    "Alex Krizhevsky",
    "Convolutional Deep Belief Networks on CIFAR-10",
    2010,
    "Manuscript, University of Toronto",
)
MAAS_2013 = Paper(
    "Andrew L. Maas, Awni Y. Hannun, Andrew Y. Ng",
    "Rectifier Nonlinearities Improve Neural Network Acoustic Models",
    2013,
    "ICML 2013 workshop on Deep Learning for Audio, Speech and Language Processing",
)
GOODFELLOW_2013 = Paper(
    "Ian J. Goodfellow, David Warde-Farley, Mehdi Mirza, Aaron Courville, Yoshua Bengio",
    "Maxout Networks",
    2013,
    "ICML 2013, arXiv:1302.4389",
)
HE_2015 = Paper(
    "Kaiming He, Xiangyu Zhang, Shaoqing Ren, Jian Sun",
    "Delving Deep into Rectifiers: Surpassing Human-Level Performance on ImageNet Classification",
    2015,
    "ICCV 2015, arXiv:1502.01852",
)
XU_2015 = Paper(
    "Bing Xu, Naiyan Wang, Tianqi Chen, Mu Li",
    "Empirical Evaluation of Rectified Activations in Convolutional Network",
    2015,
    "arXiv:1505.00853",
)
KONDA_2015 = Paper(
    "Kishore Konda, Roland Memisevic, David Krueger",
    "Zero-bias autoencoders and the benefits of co-adapting features",
    2015,
    "ICLR 2015, arXiv:1402.3337",
)
COURBARIAUX_2015 = Paper(
    "Matthieu Courbariaux, Yoshua Bengio, Jean-Pierre David",
    "BinaryConnect: Training Deep Neural Networks with binary weights during propagations",
    2015,
    "NIPS 2015, arXiv:1511.00363",
)
CLEVERT_2016 = Paper(
    "Djork-Arné Clevert, Thomas Unterthiner, Sepp Hochreiter",
    "Fast and Accurate Deep Network Learning by Exponential Linear Units (ELUs)",
    2016,
    "ICLR 2016, arXiv:1511.07289",
)
HENDRYCKS_2016 = Paper(
    "Dan Hendrycks, Kevin Gimpel",
    "Gaussian Error Linear Units (GELUs)",
    2016,
    "arXiv:1606.08415",
)
SHANG_2016 = Paper(
    "Wenling Shang, Kihyuk Sohn, Diogo Almeida, Honglak Lee",
    "Understanding and Improving Convolutional Neural Networks via Concatenated Rectified Linear "
    "Units",
    2016,
    "ICML 2016, arXiv:1603.05201",
)
GUBERMAN_2016 = Paper(
    "Nitzan Guberman",
    "On Complex Valued Convolutional Neural Networks",
    2016,
    "arXiv:1602.09046",
)
ARJOVSKY_2016 = Paper(
    "Martin Arjovsky, Amar Shah, Yoshua Bengio",
    "Unitary Evolution Recurrent Neural Networks",
    2016,
    "ICML 2016, arXiv:1511.06464",
)
KLAMBAUER_2017 = Paper(
    "Günter Klambauer, Thomas Unterthiner, Andreas Mayr, Sepp Hochreiter",
    "Self-Normalizing Neural Networks",
    2017,
    "NIPS 2017, arXiv:1706.02515",
)
BARRON_2017 = Paper(
    "Jonathan T. Barron",
    "Continuously Differentiable Exponential Linear Units",
    2017,
    "arXiv:1704.07483",
)
DAUPHIN_2017 = Paper(
    "Yann N. Dauphin, Angela Fan, Michael Auli, David Grangier",
    "Language Modeling with Gated Convolutional Networks",
    2017,
    "ICML 2017, arXiv:1612.08083",
)
RAMACHANDRAN_2017 = Paper(
    "Prajit Ramachandran, Barret Zoph, Quoc V. Le",
    "Searching for Activation Functions",
    2017,
    "arXiv:1710.05941",
)
ELFWING_2018 = Paper(
    "Stefan Elfwing, Eiji Uchibe, Kenji Doya",
    "Sigmoid-Weighted Linear Units for Neural Network Function Approximation in Reinforcement "
    "Learning",
    2018,
    "Neural Networks 107, pages 3-11, arXiv:1702.03118",
)
TRABELSI_2018 = Paper(
    "Chiheb Trabelsi, Olexa Bilaniuk, Ying Zhang, Dmitriy Serdyuk, Sandeep Subramanian, João "
    "Felipe Santos, Soroush Mehri, Negar Rostamzadeh, Yoshua Bengio, Christopher J. Pal",
    "Deep Complex Networks",
    2018,
    "ICLR 2018, arXiv:1705.09792",
)
MISRA_2019 = Paper(
    "Diganta Misra",
    "Mish: A Self Regularized Non-Monotonic Activation Function",
    2019,
    "arXiv:1908.08681, BMVC 2020",
)
HOWARD_2019 = Paper(
    "Andrew Howard, Mark Sandler, Grace Chu, Liang-Chieh Chen, Bo Chen, Mingxing Tan, Weijun Wang, "
    "Yukun Zhu, Ruoming Pang, Vijay Vasudevan, Quoc V. Le, Hartwig Adam",
    "Searching for MobileNetV3",
    2019,
    "ICCV 2019, arXiv:1905.02244",
)
SHAZEER_2020 = Paper(
    "Noam Shazeer",
    "GLU Variants Improve Transformer",
    2020,
    "arXiv:2002.05202",
)
XIAO_2020 = Paper(
    "Yong-Liang Xiao",
    "Unitary Learning for Deep Diffractive Neural Network",
    2020,
    "arXiv:2009.08935",
)
SO_2021 = Paper(
    "David R. So, Wojciech Mańke, Hanxiao Liu, Zihang Dai, Noam Shazeer, Quoc V. Le",
    "Primer: Searching for Efficient Transformers for Language Modeling",
    2021,
    "NeurIPS 2021, arXiv:2109.08668",
)
