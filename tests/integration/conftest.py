"""What stands beside the tests and is run by them, in processes of its own."""

collect_ignore = ["framework_stage", "run_stage", "scripts", "warm_stage", "watched_scripts"]
