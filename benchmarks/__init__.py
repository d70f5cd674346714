"""One script per figure. Each takes its data as arguments and prints one JSON object on the last line."""
