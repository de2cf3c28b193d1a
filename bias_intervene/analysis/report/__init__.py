"""What a comparison looks like: in the terminal, as figures, as an HTML page, as files of other formats."""
