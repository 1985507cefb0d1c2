"""A request made to fit a model's profile, in no dialect: a dialect's writer only spells it."""
