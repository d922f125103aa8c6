"""Gets linegate onto a board: kits that are carried there on a stick."""
