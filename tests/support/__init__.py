"""What the tests share: servers they start, pictures they draw, runs they make. No test is in here."""
