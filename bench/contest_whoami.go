package main

import "github.com/gatehouse-proxy/gatehouse/bench/report"

func whoami() contest {
	return contest{
		"whoami", "Whoami of 1.3 kB",
		"An application asks whose session a token of 39 bytes stands for, and gets the session service's own answer from memory. The bare " +
			"servers answer everybody in the same bytes.",
		func(a *arena) (*report.Contest, error) {
			ask := questionAt(whoamiQuestion, byToken)
			return compareCost(a, []contestant{
				{"Gatehouse", gatehouse, ask, 0},
				{"bare fasthttp", bareFast("whoami", ask), ask, 1.03},
				{"bare net/http", bareNet("whoami", ask), ask, 0},
			}, nil)
		},
	}
}
