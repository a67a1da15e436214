"""What is served by whom, under which names and at what price: rows of data, and the code that reads them."""
