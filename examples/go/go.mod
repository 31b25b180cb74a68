module example.org/panel

go 1.21
