package main

import (
	"github.com/gatehouse-proxy/gatehouse/bench/load"
	"github.com/gatehouse-proxy/gatehouse/bench/report"
)

func accept() contest {
	return contest{
		"accept", "A connection for each decision",
		"The decision by token again, over a connection that is opened for it and closed after it, as nginx before 1.29.7 and HAProxy ask by " +
			"default.",
		func(a *arena) (*report.Contest, error) {
			asked := func(path string) func(*session) []byte {
				return func(s *session) []byte { return once(question(path, byToken(s))) }
			}
			kept := questionAt(gatehouseQuestion, byToken)
			return compareCost(a, []contestant{
				{"Gatehouse", gatehouse, asked(gatehouseQuestion), 0},
				{"bare fasthttp", bareFast("decision", kept), asked("/"), 1.25},
				{"bare net/http", bareNet("decision", kept), asked("/"), 0},
				{"nginx auth_request, proxy_cache", nginx, asked(nginxQuestion), 0},
			}, func(p *load.Plan) { p.Anew = true })
		},
	}
}
