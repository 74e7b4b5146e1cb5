package main

import "github.com/gatehouse-proxy/gatehouse/bench/report"

// Below publicPath, nobody is asked for a session.
const (
	publicPath  = "/assets/2026"
	privatePath = "/orders/2026"
)

const proxiedAbout = "A page of 1 KiB from an application over kept connections. Gatehouse checks the session, and tells the application in five " +
	"headers; below a public path it does not check. Those without a check pass requests on as they are."

func proxied() contest {
	return contest{
		"proxied-token", "Proxied request with a token", proxiedAbout +
			" nginx with a check remembers the answer, with and without `open_file_cache` as above. Caddy remembers none: its `forward_auth` asks each time, a service that says yes at once.",
		func(a *arena) (*report.Contest, error) {
			return compareCost(a, append(proxies(byToken),
				contestant{"fasthttp HostClient, no check", fastForwarder, pageAt(privatePath, byToken), 0},
				contestant{"httputil.ReverseProxy, no check", netForwarder, pageAt(privatePath, byToken), 0},
				contestant{"Caddy reverse_proxy, no check", caddy, pageAt(publicPath, byToken), 0},
				contestant{"Caddy forward_auth, reverse_proxy", caddy, pageAt(privatePath, byToken), 0},
			), nil)
		},
	}
}

func proxiedByCookie() contest {
	return contest{"proxied-cookie", "Proxied request with a cookie", "As before, with a cookie of 428 bytes.", func(a *arena) (*report.Contest, error) {
		return compareCost(a, proxies(byCookie), nil)
	}}
}

// proxies are those that are near.
func proxies(credential func(*session) string) []contestant {
	return []contestant{
		{"Gatehouse", gatehouse, pageAt(privatePath, credential), 0},
		{"Gatehouse, public path", gatehouse, pageAt(publicPath, credential), 1.10},
		{"nginx proxy_pass, no check", nginx, pageAt(publicPath, credential), 1.00},
		{"nginx auth_request, proxy_cache, proxy_pass", nginx, pageAt(privatePath, credential), 0.80},
		{"nginx auth_request, proxy_cache, proxy_pass, defaults", nginxDefaults, pageAt(privatePath, credential), 0.80},
		{"HAProxy, no check", haproxy, pageAt(publicPath, credential), 0},
	}
}
