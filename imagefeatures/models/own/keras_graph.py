CUT_FILE = "x"
