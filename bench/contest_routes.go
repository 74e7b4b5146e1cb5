package main

import "github.com/gatehouse-proxy/gatehouse/bench/report"

func routes() contest {
	return contest{
		"routes", "A thousand routes",
		"Decisions of three gateways: with 1,000 routes, of which the last one applies, ten identity headers and a requirement in CEL; with two " +
			"routes and the same ten headers; and with two routes and five headers.",
		func(a *arena) (*report.Contest, error) {
			ask := questionAt(gatehouseQuestion, byToken)
			return compareCost(a, []contestant{
				{"Gatehouse, 1,000 routes, 10 headers, CEL", gatehouseManyRoutes, ask, 0},
				{"Gatehouse, 2 routes, 10 headers", gatehouseManyHeaders, ask, 1.10},
				{"Gatehouse, 2 routes, 5 headers", gatehouse, ask, 0},
			}, nil)
		},
	}
}
