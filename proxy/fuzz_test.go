package proxy

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// The session cookies that are found are those that net/http finds, as Kratos does, and none of them is left to the application, which
// finds all others as they were.
func FuzzCookies(f *testing.F) {
	for _, seed := range []string{
		"s=1", "a=1; s=1; b=2", "s=1; s=2\ns=3", `s="1"`, `a="x; s=evil; y"; s=good`, "s =1", "s= 1", "s", ";;s=1;", "s=\xff; s=1",
		"a;s=1", "S=1", "s=a b", "s=,", `s="`, "=s; s==", "s\t=\t1",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, all string) {
		if strings.Count(all, "\n")+strings.Count(all, ";") > 2000 {
			return // among more than 3,000 cookies net/http finds none at all (httpcookiemaxnum)
		}
		for _, b := range []byte(strings.ReplaceAll(all, "\n", "")) {
			if b < 0x20 && b != '\t' || b == 0x7f {
				return // no header has it
			}
		}
		var lines [][]byte
		r := http.Request{Header: http.Header{"Cookie": strings.Split(all, "\n")}}
		for _, line := range r.Header["Cookie"] {
			lines = append(lines, []byte(line))
		}

		var want []string
		for _, c := range r.CookiesNamed("s") {
			if c.Value != "" && !strings.ContainsAny(c.Value, " ,") && !slices.Contains(want, c.Value) {
				want = append(want, c.Value)
			}
		}
		_, got, ok := cookieValues(lines, "s", make([]byte, 0, 8))
		if ok != (len(want) <= maxCookies) || ok && string(got) != strings.Join(want, ";") {
			t.Fatalf("%q: found %q, %v, want %q", all, got, ok, want)
		}
		for _, b := range got {
			if b <= 0x20 || b >= 0x7f || strings.IndexByte(`",\`, b) >= 0 {
				t.Fatalf("%q: found %q", all, got)
			}
		}

		for _, line := range lines {
			rest := appendOtherCookies(nil, line, cookieNames{"s"}, "")
			if _, left, _ := cookieValues([][]byte{rest}, "s", nil); len(left) > 0 {
				t.Fatalf("%q: %q is left", line, left)
			}
			if named := (&http.Request{Header: http.Header{"Cookie": {string(rest)}}}).CookiesNamed("s"); len(named) > 0 {
				t.Fatalf("%q: %q is left", line, rest)
			}
			if before, after := others(line), others(rest); !slices.Equal(before, after) {
				t.Fatalf("%q became %q", line, rest)
			}
		}
	})
}

// others returns the pairs of a Cookie line that are not called s, without the blanks around them.
func others(line []byte) (pairs []string) {
	for pair := range strings.SplitSeq(string(line), ";") {
		pair = strings.Trim(pair, " \t")
		if name, _, _ := strings.Cut(pair, "="); pair != "" && strings.TrimRight(name, " \t") != "s" {
			pairs = append(pairs, pair)
		}
	}
	return pairs
}

// Whatever head fasthttp accepts, net/http reads the head for the application as the same request, with the gate's identity and no alias
// of it, and nothing after it.
func FuzzOutbound(f *testing.F) {
	for _, seed := range []string{
		"", "X-User-Id: root", "x_user.id: root\r\nX-A: b", "Connection: X-User-Id, close\r\nTrailer: X-User-Id", "X-A: b\r\n c",
		"X-A: b\nX-User-Id: root", "Cookie: a=1; s=2; b=3", "Cookie: s=1",
		"Authorization: Bearer x", "X A: b", "Transfer-Encoding: chunked\r\nContent-Length: 5", "Content-Length: 5",
		"X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Host: a", "X-Session-Token: x", "Host: b",
		"Content_Length: 5", "Expect: 100-continue", "X-Empty:\r\nX-\xff: a", "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings",
		"X-A: \t b \t", "Authorization: Negotiate x\r\nAuthorization: Bearer y\r\nAuthorization: Bearer z", "X-Session-Token: x\r\nX_Session_Token: y",
		"X-Forwarded-Port: 1\r\nX-Forwarded-Prefix: /a\r\nForwarded: for=b", "X-Forwarded-For: fe80::1%\"a, ::1", "Destination: /b",
	} {
		f.Add("GET", "/a%20b?c", []byte(seed), false)
		f.Add("GET", "/a%20b?k=1&c&%6b=2", []byte("X-Session-Cookie: c\r\n"+seed), false)
	}
	f.Add("POST", "/", []byte("A: b"), true)
	p, err := policy.Compile([]policy.Rule{{Path: "/*"}}, []policy.Header{{Name: "X-User-Id"}, {Name: "X-User-Email"}})
	if err != nil {
		f.Fatal(err)
	}
	credentials := &Credentials{
		TokenHeader: "X-Session-Token", CookieHeader: "X-Session-Cookie", Cookie: "s", Query: "k", Bearer: true,
	}
	held := newKeyring([]*Service{{Credentials: *credentials}})
	stripped := newStrip(p, held)
	f.Fuzz(func(t *testing.T, method, target string, rest []byte, trusted bool) {
		head := slices.Concat([]byte(method+" "+target+" HTTP/1.1\r\nHost: app.example.com\r\n"), rest, []byte("\r\n\r\n"))
		if len(rest) == 0 {
			head = head[:len(head)-2]
		}
		var h fasthttp.RequestHeader
		in := bufio.NewReaderSize(bytes.NewReader(head), len(head)+1)
		if h.Read(in) != nil || in.Buffered() > 0 || !policy.KnownMethod(h.Method()) {
			return
		}
		path, _, err := canonicalPath(h.RequestURI(), nil)
		if err != nil {
			return
		}
		var read requestHead
		if read.read(&h, credentials.TokenHeader) != nil {
			return
		}
		raw := bytes.Clone(h.RequestURI())
		keeps := upstream.Kind(len(rest) % (len(upstream.Kinds) + 1)) // any of them
		named := kept{keeps, map[upstream.Kind]string{
			upstream.SessionToken: credentials.TokenHeader, upstream.SessionCookie: credentials.CookieHeader, upstream.Cookie: credentials.Cookie,
			upstream.Query: credentials.Query,
		}[keeps]}
		if keeps != upstream.Query {
			raw = withoutParameter(raw, "k")
		}
		o := outbound{
			head: &read, target: Target{Method: h.Method(), Path: path, Raw: h.RequestURI()}, strip: stripped, keys: held,
			peer: netip.MustParseAddr("192.0.2.1"), trusted: trusted,
			fields: []policy.Field{{Name: []byte("X-User-Id"), Value: []byte("alice")}, {Name: []byte("X-User-Email")}},
			keeps:  named, prefix: []byte("/pre"),
		}
		out, err := o.appendHead(nil)
		if err != nil {
			return
		}
		out = append(out, "\r\n"...)
		r := bufio.NewReader(bytes.NewReader(out))
		req, err := http.ReadRequest(r)
		if err != nil {
			t.Fatalf("%q became %q: %v", head, out, err)
		}
		if rest, _ := io.ReadAll(r); len(rest) > 0 || req.ContentLength != 0 || req.Close {
			t.Fatalf("%q became %q: rest %q, length %d, close %v", head, out, rest, req.ContentLength, req.Close)
		}
		if req.Method != string(h.Method()) || req.RequestURI != string(raw) || req.Host != "app.example.com" {
			t.Fatalf("%q became %q", head, out)
		}
		sent := map[string]int{}
		for name, value := range h.AllInOrder() {
			sent[string(name)+": "+string(value)]++
		}
		for name, values := range req.Header {
			switch folded := strings.Map(foldRune, name); {
			case name == "X-User-Id":
				if !slices.Equal(values, []string{"alice"}) {
					t.Fatalf("%q became %q", head, out)
				}
			case name == "Forwarded":
				if len(values) != 1 || !trusted && values[0] != `for=192.0.2.1;host="app.example.com";proto=http` || strings.Count(values[0], "host=") != 1 {
					t.Fatalf("%q became %q", head, out)
				}
			case name == "X-Forwarded-Port" || name == "X-Forwarded-Prefix":
				if want := map[string]string{"X-Forwarded-Port": "80", "X-Forwarded-Prefix": "/pre"}[name]; len(values) != 1 || !trusted && values[0] != want {
					t.Fatalf("%q became %q", head, out)
				}
			case name == credentials.TokenHeader:
				if keeps != upstream.SessionToken || len(values) != 1 || values[0] != string(read.token) {
					t.Fatalf("%q became %q", head, out)
				}
			case name == credentials.CookieHeader:
				if keeps != upstream.SessionCookie || len(values) != 1 || values[0] != string(read.value(credentials.CookieHeader)) {
					t.Fatalf("%q became %q", head, out)
				}
			case name == "X-Forwarded-For" || name == "X-Forwarded-Host" || name == "X-Forwarded-Proto":
				if len(values) != 1 || !trusted && !slices.Contains([]string{"192.0.2.1", "app.example.com", "http"}, values[0]) {
					t.Fatalf("%q became %q", head, out)
				}
			case stripped.has([]byte(name)), folded == "x-user-id", folded == "x-user-email", folded == "content-length",
				folded == "transfer-encoding":
				t.Fatalf("%q became %q: %s", head, out, name)
			case name != "Cookie" && !(name == headerDestination && isMove(h.Method())): // of which parts may be taken out
				for _, value := range values {
					if sent[name+": "+value]--; sent[name+": "+value] < 0 {
						t.Fatalf("%q became %q: nobody sent %s: %s", head, out, name, value)
					}
				}
			}
		}
		for line := range strings.SplitSeq(strings.TrimSuffix(string(out), "\r\n\r\n"), "\r\n") {
			if strings.ContainsAny(line, "\r\n\x00") || line == "" || line[0] == ' ' || line[0] == '\t' {
				t.Fatalf("%q became %q: line %q", head, out, line)
			}
		}
		if req.Header["X-User-Id"] == nil || len(req.CookiesNamed("s")) > 0 && keeps != upstream.Cookie {
			t.Fatalf("%q became %q", head, out)
		}
		bearers := 0
		for _, value := range req.Header["Authorization"] {
			if hasBearer([]byte(value)) {
				bearers++
			}
		}
		if bearers > 1 || bearers == 1 && keeps != upstream.Bearer {
			t.Fatalf("%q became %q", head, out)
		}
	})
}

// What a front proxy says of a request is believed only where net/http finds each line exactly once, and then it has one reading.
func FuzzForwardedTarget(f *testing.F) {
	for _, seed := range []string{
		"", "X-Forwarded-Method: GET\r\nX-Forwarded-Host: a\r\nX-Forwarded-Uri: /x", "X-Forwarded-Uri: /x\r\nX-Forwarded-Uri: /y",
		"x-forwarded-method: POST\r\nX-FORWARDED-HOST: A.b.:80\r\nX-Forwarded-Uri:  /a%20b;c?d=/../ \r\nX-Forwarded-Proto: WSS",
		"X-Forwarded-Method: GET\r\nX-Forwarded-Host: a\r\nX-Forwarded-Uri: /x\r\nX_Forwarded_Uri: /y\r\nX-Original-Uri: /z",
		"X-Forwarded-Method: TRACE\r\nX-Forwarded-Host: a\r\nX-Forwarded-Uri: /x", "X-Forwarded-Uri: /a\r\n /../b",
		"X-Forwarded-Method: GET\r\nX-Forwarded-Host: a@b\r\nX-Forwarded-Uri: /../x\r\nX-Forwarded-Proto: ftp",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, rest []byte) {
		head := slices.Concat([]byte("GET / HTTP/1.1\r\nHost: gate\r\n"), rest, []byte("\r\n\r\n"))
		var h fasthttp.RequestHeader
		in := bufio.NewReaderSize(bytes.NewReader(head), len(head)+1)
		if h.Read(in) != nil || in.Buffered() > 0 {
			return
		}
		r := request{scratch: new(scratch)}
		_ = r.head.read(&h, "X-Session-Token")
		target, bad := describePlain(&r)
		if bad != (fault{}) {
			return
		}
		req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
		if err != nil {
			return // the front proxy sent what is no request to others
		}
		for _, name := range describedNames[:forwardedProto] {
			if len(req.Header[name]) != 1 {
				t.Fatalf("%q: %s is there %d times", head, name, len(req.Header[name]))
			}
		}
		said := func(i int) string { return req.Header.Get(describedNames[i]) }
		u, err := url.ParseRequestURI(said(forwardedURI))
		if err != nil || u.Host != "" || string(target.Raw) != said(forwardedURI) || string(target.Method) != said(forwardedMethod) {
			t.Fatalf("%q: %q; net/url reads %v, %v", head, target, u, err)
		}
		asked, _, _ := strings.Cut(said(forwardedURI), "?")
		path := readingOf(t, asked, 0)
		host := (&url.URL{Host: said(forwardedHost)}).Hostname()
		if string(target.Path) != path ||
			!strings.Contains(host, ":") && string(target.Host) != strings.TrimSuffix(strings.ToLower(host), ".") {
			t.Fatalf("%q: %q; net/url reads %q and %q", head, target, path, host)
		}
		if len(req.Header[describedNames[forwardedProto]]) > 1 || !isToken(target.Method) {
			t.Fatalf("%q: %q", head, target)
		}
	})
}

// What nginx says of a request is believed only where net/http finds each line exactly once, and net/url reads the URL as we do.
func FuzzNginxTarget(f *testing.F) {
	for _, seed := range []string{
		"", "X-Original-Method: GET\r\nX-Original-URL: https://a/x", "X-Original-Method: GET\r\nX-Original-URI: /x?y=1",
		"X-Original-Method: GET\r\nX-Original-URL: https://a/x\r\nX-Original-URI: /y", "X-Original-Method: GET\r\nX-Original-URL: https://a@b/x",
		"x-original-method: PUT\r\nx-original-url: wss://A.b.:80/a%20b;c?d=/../http://e/", "X-Original-Method: GET\r\nX-Original-URL: https://a/../x",
		"X-Original-Method: GET\r\nX-Original-URL: https://[::1]:8/x\r\nX-Original-Method: GET", "X-Original-Method: GET\r\nX-Original-URL: https://a\\b/x",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, rest []byte) {
		head := slices.Concat([]byte("GET / HTTP/1.1\r\nHost: gate\r\n"), rest, []byte("\r\n\r\n"))
		ctx := new(fasthttp.RequestCtx)
		in := bufio.NewReaderSize(bytes.NewReader(head), len(head)+1)
		if ctx.Request.Header.Read(in) != nil || in.Buffered() > 0 {
			return
		}
		r := request{scratch: new(scratch), ctx: ctx}
		_ = r.head.read(&ctx.Request.Header, "X-Session-Token")
		target, bad := describeNginx(&r)
		if bad != (fault{}) {
			return
		}
		req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
		if err != nil {
			return // nginx sent what is no request to others
		}
		all, uri := req.Header["X-Original-Url"], req.Header["X-Original-Uri"]
		if len(all)+len(uri) != 1 || len(req.Header["X-Original-Method"]) != 1 || req.Header.Get("X-Original-Method") != string(target.Method) {
			t.Fatalf("%q: %q", head, target)
		}
		text := "http://" + req.Host + strings.Join(uri, "")
		if len(all) == 1 {
			text = all[0]
		}
		u, err := url.Parse(text)
		asked, _, _ := strings.Cut(string(target.Raw), "?")
		if err != nil || u.User != nil || !strings.HasSuffix(text, string(target.Raw)) || string(target.Path) != readingOf(t, asked, 0) {
			t.Fatalf("%q: %q; net/url reads %v, %v", head, target, u, err)
		}
		host := u.Hostname()
		if !strings.Contains(host, ":") && string(target.Host) != strings.TrimSuffix(strings.ToLower(host), ".") {
			t.Fatalf("%q: %q; net/url reads %q", head, target, host)
		}
	})
}

// foldRune is what CGI makes of a byte of a header name, but for the case.
func foldRune(r rune) rune {
	switch {
	case r >= 'A' && r <= 'Z':
		return r | 0x20
	case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
		return r
	default:
		return '-'
	}
}
