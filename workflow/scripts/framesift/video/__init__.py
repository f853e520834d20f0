"""Videos: their frames (`index`), the candidates among them (`grid`) and their pixels (`reader`)."""
