module faregate.dev/bench

go 1.22
