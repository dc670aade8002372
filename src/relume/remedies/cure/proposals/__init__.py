"""Treatments that may answer a finding, by what they touch: each the likeliest first."""
