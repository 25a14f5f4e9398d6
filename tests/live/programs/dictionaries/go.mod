module example.com/dictionaries

go 1.18
