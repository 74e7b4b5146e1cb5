package doctor

import (
	"fmt"
	"strings"
)

// credentials tries what is no session, and a request with much beside its session.
func (e *examination) credentials() {
	cookie := func(value string) field { return field{"Cookie", e.CookieName + "=" + value} }
	var opened, failed []Evidence
	for _, fields := range [][]field{
		{cookie("gatehouse-doctor-" + e.nonce)},
		{cookie("")},
		{cookie(`"`)},
		{cookie("%00%ff")},
		{cookie(strings.Repeat("A", 3000))},
		{cookie("one; " + e.CookieName + "=two")},
		{{"X-Session-Token", "gatehouse-doctor-" + e.nonce}},
		{{"X-Session-Token", ""}},
		{{"Authorization", "Bearer gatehouse-doctor-" + e.nonce}},
		{{"Authorization", "Bearer"}},
		{{"Authorization", "Basic Z2F0ZWhvdXNlOmRvY3Rvcg=="}},
	} {
		r := e.get(e.target(), fields...)
		switch a := e.ask(r); {
		case a.ok():
			opened = append(opened, Evidence{r.sent(), a.String()})
		case a.status >= 500 && e.plain.status < 500:
			failed = append(failed, Evidence{r.sent(), a.String()})
		}
	}
	e.result("garbage_accepted", Critical, opened, "what is no session is refused")
	if len(failed) > 0 {
		e.found("garbage_fails", Medium, failed...)
	}
	e.largeCookie()
}

// largeCookie sends 8000 bytes of cookies, which browsers do, with the session if there is one.
func (e *examination) largeCookie() {
	const most = 8000
	padding := most
	if e.Credential.Cookie != "" {
		padding = max(0, most-len(e.CookieName)-len(e.Credential.Cookie)-3)
	}
	name := "gatehouse-doctor="
	r := e.get(e.target(), field{"Cookie", name + strings.Repeat("x", max(0, padding-len(name)))})
	want := e.plain.status
	if e.page.ok() {
		r, want = e.signedIn(r), e.page.status
	}
	if a := e.ask(r); a.status != want {
		e.found("large_cookie", Medium, Evidence{r.sent(), a.String()})
	} else {
		e.passed("8 KB of cookies are no trouble")
	}
}

// claims tries what clients say about their own request in headers.
func (e *examination) claims() {
	public, host := e.publicTarget(), e.Target.Host
	absolute := e.Target.Scheme + "://" + host + public
	var opened []Evidence
	try := func(fields ...field) {
		r := e.get(e.target(), fields...)
		if a := e.ask(r); a.ok() {
			opened = append(opened, Evidence{r.sent(), a.String()})
		}
	}
	for _, name := range []string{
		"X-Forwarded-Uri", "X_Forwarded_Uri", "X.Forwarded.Uri", "X-Original-URI", "X-Rewrite-URL", "X-Envoy-Original-Path",
		"X-Forwarded-Prefix", "X-Forwarded-Path", "X-Auth-Request-Redirect",
	} {
		try(field{name, public})
	}
	try(field{"X-Forwarded-Uri", public}, field{"X-Forwarded-Uri", public})
	for _, name := range []string{"X-Original-URL", "X_Original_URL"} {
		try(field{name, absolute})
	}
	try(field{"X-Original-URL", public})
	all := []field{
		{"X-Forwarded-Method", "GET"},
		{"X-Forwarded-Proto", e.Target.Scheme},
		{"X-Forwarded-Host", host},
		{"X-Forwarded-Uri", public},
		{"X-Original-Method", "GET"},
		{"X-Original-URL", absolute},
	}
	try(all...)
	for _, name := range []string{"X-Forwarded-Method", "X-Original-Method", "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"} {
		try(field{name, "OPTIONS"})
	}
	for _, f := range []field{
		{"X-Forwarded-Host", "gatehouse-doctor.invalid"},
		{"X-Original-Host", "gatehouse-doctor.invalid"},
		{"X-Forwarded-Proto", "http"},
		{"X-Forwarded-Proto", "wss"},
		{"X-Forwarded-Port", "80"},
		{"X-Forwarded-For", "127.0.0.1"},
		{"X-Forwarded-For", "a"},
		{"X-Real-IP", "127.0.0.1"},
		{"Forwarded", "for=127.0.0.1;host=" + host + ";proto=http"},
		{"X-Middleware-Subrequest", "middleware"},
		{"User-Agent", "GoogleHC/1.0"},
		{"User-Agent", "kube-probe/1.30"},
	} {
		try(f)
	}
	e.result("claim_believed", Critical, opened, "what clients claim about their request opens nothing")
	if e.Public == nil {
		e.unchecked("claims that the path is another, known to be public", "give --public URL")
	}
	opened = nil
	for _, s := range e.spoofs() {
		r := e.get(e.target(), s.fields...)
		if a := e.ask(r); a.ok() {
			opened = append(opened, Evidence{r.sent(), a.String()})
		}
	}
	e.result("identity_believed", Critical, opened, "a made-up identity opens nothing")
	e.rewrites()
}

// misleading are the headers by which some applications choose another page or method than the request has.
var misleading = []string{
	"X-Original-URL", "X-Original-URI", "X-Rewrite-URL", "X-Forwarded-Uri", "X-Envoy-Original-Path",
	"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Middleware-Subrequest",
}

// rewrites asks for the public page, with headers that make some applications serve another one.
func (e *examination) rewrites() {
	if e.Public == nil {
		return
	}
	public := func(name, value string) request { return e.get(e.publicTarget(), field{name, value}) }
	path := e.Target.EscapedPath()
	elsewhere := path + e.nonce + strings.TrimPrefix(e.target(), path)
	var opened []Evidence
	for _, name := range misleading {
		r := public(name, e.target())
		a := e.ask(r)
		leak := e.judge(a, r.target)
		if leak == closed || leak == likely && e.echoes(a, public(name, elsewhere), public(name+e.nonce, e.target())) {
			continue
		}
		if leak == likely && e.judge(e.ask(e.get(r.target)), r.target) != closed {
			e.unchecked("headers that turn a public page into another one", "the public page differs each time: name another --public page")
			return
		}
		opened = append(opened, Evidence{r.sent(), a.String()})
	}
	e.result("header_routes", Critical, opened, "no header turns a public page into the other one")
}

// paths tries other ways to write the path of the page, from a public path and without one.
func (e *examination) paths() {
	targets := e.disguises()
	if e.Public != nil {
		targets = append(targets, e.detours()...)
	}
	var certain, probable []Evidence
	for _, target := range targets {
		r := e.get(target)
		a := e.ask(r)
		ev := Evidence{r.sent(), a.String()}
		switch e.judge(a, target) {
		case sure:
			certain = append(certain, ev)
		case likely:
			probable = append(probable, ev)
		}
	}
	switch {
	case len(certain) > 0:
		e.found("path_passes", Critical, certain...)
	case len(probable) > 0 && e.dynamic:
		e.unchecked(fmt.Sprintf("%d of %d ways to write the path, which were answered with 2xx", len(probable), len(targets)),
			"pages below the public path differ each time and cannot be told apart: name another --public page")
	case len(probable) > 0:
		e.found("path_passes", High, probable...)
	default:
		e.passed(fmt.Sprintf("%d other ways to write the path open nothing", len(targets)))
	}
}

// disguises are other ways to write the path of the page itself.
func (e *examination) disguises() []string {
	path := e.Target.EscapedPath()
	if len(path) < 2 {
		return []string{"//", "/./", "/;x=y", "/%2e/", e.Target.Scheme + "://" + e.Target.Host + "/", stranger + "/"}
	}
	public := e.publicTarget()
	return []string{
		"/" + path, "/." + path, "/%2e" + path, "/x/.." + path, "/x/%2e%2e" + path, "/x%2f.." + path, "/x/..%2f" + path[1:],
		path + "/", path + "/.", path + "//", path + ";x=y", path + "%20", path + "%2f", path + "%00", path + `\`, path + "%5c",
		fmt.Sprintf("/%%%02x%s", path[1], path[2:]), fmt.Sprintf("/%%25%02x%s", path[1], path[2:]), strings.ToUpper(path),
		path + "#" + public, path + "%23" + public, path + "?x=" + public, path + "?/.." + public, `\` + path[1:],
		e.Target.Scheme + "://" + e.Target.Host + path, stranger + path,
	}
}

// detours are ways from the public path to the page.
func (e *examination) detours() []string {
	public, rest := strings.TrimSuffix(dir(e.Public), "/"), strings.TrimPrefix(e.Target.EscapedPath(), "/")
	depth := strings.Count(public, "/")
	if depth == 0 {
		return nil // every path is below it
	}
	var list []string
	for _, up := range []string{
		"/..", "/%2e%2e", "/.%2e", "/%2E%2E", "%2f..", "%2F%2e%2e", "/..;", "/..;x=y", `/..\`, `\..`, "%5c..", "/..%5c", "/%252e%252e", "%252f..",
		"/%c0%ae%c0%ae", "/..%00", "//..", "/./..",
	} {
		list = append(list, public+strings.Repeat(up, depth)+"/"+rest)
	}
	back := strings.Repeat("/..", depth) + "/" + rest
	return append(list,
		public+strings.Repeat("/..", depth)+"%2f"+rest, public+"/"+strings.Repeat("..%2f", depth)+rest,
		public+"/"+strings.Repeat("%2e%2e%2f", depth)+rest, public+"/"+strings.Repeat("..%252f", depth)+rest,
		public+".."+back[3:], public+"#"+back, public+"%23"+back, public+"/%3f"+back,
		e.Target.Scheme+"://"+e.Target.Host+public+back, stranger+public+"/",
	)
}

// methods tries methods that a rule may have forgotten.
func (e *examination) methods() {
	var opened []Evidence
	for _, method := range []string{"HEAD", "OPTIONS", "get", "TRACE", "GATEHOUSE"} {
		r := request{method: method, target: e.target()}
		switch a := e.ask(r); {
		case a.ok() && method == "OPTIONS" && len(a.body) == 0:
			e.found("options_answered", Note, Evidence{r.sent(), a.String()})
		case a.ok():
			opened = append(opened, Evidence{r.sent(), a.String()})
		}
	}
	r := request{method: "GET", target: e.target(), proto: "HTTP/1.0"}
	if a := e.ask(r); a.ok() {
		opened = append(opened, Evidence{r.sent(), a.String()})
	}
	e.result("method_passes", High, opened, "other methods open nothing")
}

// upgrades tries to leave HTTP without a session.
func (e *examination) upgrades() {
	var opened []Evidence
	for _, fields := range [][]field{
		{{"Connection", "Upgrade"}, {"Upgrade", "websocket"}, {"Sec-WebSocket-Version", "13"}, {"Sec-WebSocket-Key", "Z2F0ZWhvdXNlLWRvY3Rvcg=="}},
		{{"Connection", "Upgrade, HTTP2-Settings"}, {"Upgrade", "h2c"}, {"HTTP2-Settings", "AAMAAABkAAQAAP__"}},
	} {
		r := e.get(e.target(), fields...)
		if a := e.ask(r); a.ok() || a.status == 101 {
			opened = append(opened, Evidence{r.sent(), a.String()})
		}
	}
	e.result("upgrade_passes", Critical, opened, "no upgrade without a session")
}

// redirects tries to bend where people are led to sign in, and back.
func (e *examination) redirects() {
	if e.plain.header.Get("Location") == "" {
		return
	}
	elsewhere := "gatehouse-doctor-" + e.nonce + ".invalid"
	var bent []Evidence
	for _, fields := range [][]field{
		{{"X-Forwarded-Host", elsewhere}},
		{{"X-Original-URL", "https://" + elsewhere + "/"}},
		{{"X-Forwarded-Uri", "//" + elsewhere + "/"}},
		{{"X-Auth-Request-Redirect", "https://" + elsewhere + "/"}},
		{{"Forwarded", "host=" + elsewhere}},
	} {
		r := e.get(e.target(), fields...)
		if a := e.ask(r); strings.Contains(a.header.Get("Location"), elsewhere) {
			bent = append(bent, Evidence{r.sent(), a.String() + ", with that host in it"})
		}
	}
	e.result("redirect_bent", High, bent, "clients cannot bend where they are led back to")
}
