package main

import "github.com/gatehouse-proxy/gatehouse/bench/report"

// The paths that the contestants answer questions at.
const (
	gatehouseQuestion = "/.gatehouse/auth"
	nginxQuestion     = "/decide"
	uncheckedAnswer   = "/ok"
	whoamiQuestion    = "/sessions/whoami"
)

const decisionAbout = "A front proxy asks whether a request may pass, as Traefik does. Gatehouse knows the session, and answers with five identity " +
	"headers. The bare servers answer everybody in the same bytes, and look at nothing. nginx remembers the answer to `auth_request` in a " +
	"`proxy_cache` whose key has every credential, and gives it back with the same five headers; or it says 200 without a check. In the row of " +
	"its defaults, it has no `open_file_cache`, and opens the file with the answer for each request; in the others, it keeps the file open."

func decisionByToken() contest {
	return contest{"decision-token", "Decision by a token of 39 bytes", decisionAbout, func(a *arena) (*report.Contest, error) {
		return compareCost(a, deciders(byToken, 1.03), nil)
	}}
}

func decisionByCookie() contest {
	return contest{
		"decision-cookie", "Decision by a cookie of 428 bytes",
		"As before, with a cookie as long as those of Ory Kratos.",
		func(a *arena) (*report.Contest, error) { return compareCost(a, deciders(byCookie, 1.06), nil) },
	}
}

func deciders(credential func(*session) string, aim float64) []contestant {
	ask := questionAt(gatehouseQuestion, credential)
	return []contestant{
		{"Gatehouse", gatehouse, ask, 0},
		{"bare fasthttp", bareFast("decision", ask), ask, aim},
		{"bare net/http", bareNet("decision", ask), ask, 0},
		{"nginx auth_request, proxy_cache", nginx, questionAt(nginxQuestion, credential), 1 / 1.4},
		{"nginx auth_request, proxy_cache, defaults", nginxDefaults, questionAt(nginxQuestion, credential), 1 / 1.4},
		{"nginx return 200, no check", nginx, questionAt(uncheckedAnswer, credential), 0},
	}
}
