package doctor

import (
	"bytes"
	"net"
	"net/netip"
	"net/url"
	"slices"
)

// surfaces looks for what belongs to Gatehouse itself and is not for the public.
func (e *examination) surfaces() {
	e.endpoints()
	var open []Evidence
	for _, path := range []string{"/metrics", "/-/metrics", "/config", "/debug/pprof/", "/readyz?verbose"} {
		r := e.get(path)
		if a := e.ask(r); a.ok() && ours(a.body) {
			open = append(open, Evidence{r.sent(), a.String()})
		}
	}
	well := "the admin listener is not passed on"
	if admin := e.adminListener(); admin == nil {
		e.unchecked("whether the admin listener is open at its own port", "run it on another machine, or give --admin-port")
	} else {
		r := e.get("/metrics")
		if a := e.askAt(admin, r); a.ok() && bytes.Contains(a.body, []byte("gatehouse_")) { // others listen on 9090 too
			open = append(open, Evidence{append(r.sent(), "(at port "+admin.Port()+")"), a.String()})
		}
		well += ", and not open at port " + admin.Port()
	}
	e.result("admin_exposed", High, open, well)
}

// adminListener returns where the admin listener would be that is open to the public, or nil if everybody may reach it who runs this.
func (e *examination) adminListener() *url.URL {
	host, port := e.Target.Hostname(), e.AdminPort
	if e.Connect != "" {
		host, _, _ = net.SplitHostPort(e.Connect)
	}
	if port == "" {
		if addr, err := netip.ParseAddr(host); host == "localhost" || err == nil && addr.IsLoopback() {
			return nil
		}
		port = "9090"
	}
	return &url.URL{Scheme: "http", Host: net.JoinHostPort(host, port)}
}

// ours reports whether a page looks like one of the admin listener.
func ours(body []byte) bool {
	return slices.ContainsFunc([]string{"gatehouse_", "go_goroutines", "/debug/pprof/", "session_cache"}, func(mark string) bool {
		return bytes.Contains(body, []byte(mark))
	})
}

// endpoints asks where front proxies ask. What answers is recognised by an answer that an unknown path does not get.
func (e *examination) endpoints() {
	const base = "/.gatehouse/auth"
	unknown := []control{e.control(e.get(base + "-" + e.nonce))}
	if e.page.ok() {
		unknown = append(unknown, e.control(e.signedIn(e.get(base+"-"+e.nonce))))
	}
	public, host := e.publicTarget(), e.Target.Host
	question := []field{
		{"X-Forwarded-Method", "GET"},
		{"X-Forwarded-Proto", e.Target.Scheme},
		{"X-Forwarded-Host", host},
		{"X-Forwarded-Uri", public},
		{"X-Original-Method", "GET"},
		{"X-Original-URL", e.Target.Scheme + "://" + host + public},
	}
	var open []Evidence
	for _, name := range []string{"", "/traefik", "/caddy", "/haproxy", "/nginx", "/envoy/"} {
		tries := []request{e.get(base + name), e.get(base+name, question...)}
		if e.page.ok() {
			tries = append(tries, e.signedIn(tries[0]), e.signedIn(tries[1]))
		}
		for _, r := range tries {
			a := e.ask(r)
			if answers(a) && !slices.Contains(unknown, e.asControl(a, r.target)) {
				open = append(open, Evidence{r.sent(), a.String()})
				break
			}
		}
	}
	e.result("endpoint_exposed", Medium, open, "the endpoints for front proxies do not answer the public")
}

// answers reports whether an answer is one to a question about a request: yes, which is empty and not to be kept, or what the question
// lacks. A peer that may not ask gets 403.
func answers(a answer) bool {
	yes := a.status == 200 && len(a.body) == 0 && a.header.Get("Cache-Control") == "no-store"
	return yes || a.status == 400
}
