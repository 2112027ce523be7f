"""What is added to a prompt: the text of a page, and a question said again behind its images."""
