module tollgate.dev/bench

go 1.22
