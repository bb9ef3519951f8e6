"""An open board: submissions of anyone's runs, judged anew from their members, on one page (docs/open_board.md)."""
