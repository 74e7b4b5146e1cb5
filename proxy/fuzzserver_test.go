package proxy_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
)

// fuzzed are the requests that FuzzServer begins with.
var fuzzed = []string{
	"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", "GET /public/x HTTP/1.1\r\nHost: a\r\nX-User-Id: root\r\n\r\n",
	"POST /public/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /x HTTP/1.1\r\nHost: a\r\n\r\n",
	"POST /public/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" +
		"GET /public/y HTTP/1.1\r\nHost: a\r\n\r\n",
	"POST /public/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 44\r\n\r\nGET /public/../x HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /public/..%2fx HTTP/1.1\r\nHost: a\r\n\r\n",
	"PUT /optional/x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
	"GET /public/x HTTP/1.1\r\nHost: a\r\nX-A: b\r\n X-User-Id: root\r\n\r\n",
	"GET /public/x HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\nGET /x HTTP/1.0\r\n\r\n",
	"GET /sessions/whoami HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", "GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /public/x HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n",
	"POST /public/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-User-Id\r\n\r\n0\r\nX-User-Id: root\r\n\r\n",
	"\r\n\r\nGET /public/x HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /x HTTP/1.1\r\nHost: a\r\n" + alice + "\r\nTrailer: X-User-Id\r\n\r\n",
	"GET /x HTTP/1.1\r\nHost: a\r\nConnection: X-User-Id\r\nX_User_Id: root\r\n" + alice + "\r\n\r\nGET /y HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /strong/x HTTP/1.1\r\nHost: a\r\n" + alice + "\r\n\r\n", "GET /deny/x HTTP/1.1\r\nHost: a\r\n" + alice + "\r\n\r\n",
	"GET /sessions/whoami HTTP/1.1\r\nHost: a\r\nCookie: b=c; ory_kratos_session=" + aliceCookie + "\r\n\r\n",
	"GET " + authPath + " HTTP/1.1\r\nHost: a\r\n" + strings.Join(about("GET", "/x", alice), "\r\n") + "\r\n\r\n",
	"GET " + authPath + " HTTP/1.1\r\nHost: a\r\n" + strings.Join(about("GET", "/public/../x"), "\r\n") + "\r\n\r\n",
	"GET " + authPath + " HTTP/1.0\r\n" + strings.Join(about("GET", "/public/x", "X-User-Id: root"), "\r\n") + "\r\n\r\n",
	"GET /public/slash/a%2Fb HTTP/1.1\r\nHost: a\r\n\r\n", "GET /public/slash/secret%2fx HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /public/strip/a?b HTTP/1.1\r\nHost: a\r\n\r\n", "GET /public/strip/%73ecret;x/y HTTP/1.1\r\nHost: a\r\n\r\n",
	"OPTIONS /pass/x HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\nAccess-Control-Request-Method: PUT\r\n" + alice + "\r\n\r\n",
	"COPY /public/x HTTP/1.1\r\nHost: a\r\nDestination: http://a/public/y\r\n\r\n",
}

// Whatever a client sends, the application sees only requests that may pass, as net/http reads them, with the identity of whose
// credential is in them and with no other. Every 2xx comes from the application, or holds every identity header; and an identity is in
// it only where the client sent the credential. The second argument is whether the client is a trusted proxy.
func FuzzServer(f *testing.F) {
	for _, seed := range fuzzed {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	app := &judgingApp{}
	server := httptest.NewServer(app)
	f.Cleanup(server.Close)
	rules := ruled(append([]policy.Rule{
		{Name: "pass", Path: "/pass/*", Access: policy.SessionAccess, CORS: &policy.CORS{Pass: true}},
		{Name: "slash secret", Path: "/public/slash/secret/*", Access: policy.SessionAccess, AllowEncodedSlashes: true},
		{Name: "slash", Path: "/public/slash/*", Access: policy.PublicAccess, AllowEncodedSlashes: true},
		{Name: "strip secret", Path: "/public/strip/secret/*", Access: policy.SessionAccess, StripPrefix: "/public/strip"},
		{Name: "strip", Path: "/public/strip/*", Access: policy.PublicAccess, StripPrefix: "/public/strip", AllowEncodedSlashes: true},
	}, someRules...)...)
	stranger, front := newGateway(f, server.Listener, rules), newGateway(f, server.Listener, rules, trusting)
	f.Fuzz(func(t *testing.T, sent []byte, trusted bool) {
		g := stranger
		if trusted {
			g = front
		}
		nc, err := net.Dial(g.network, g.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = nc.Close() }()
		_ = nc.SetDeadline(time.Now().Add(patience))
		_, _ = nc.Write(sent)
		_ = nc.(*net.TCPConn).CloseWrite()
		received, err := io.ReadAll(nc)
		if isTimeout(err) {
			t.Errorf("%q: no end of the connection", sent)
		}
		known := strings.Contains(string(sent), aliceToken) || strings.Contains(string(sent), aliceCookie)
		if all := string(received); !known && strings.Contains(all, "-alice") {
			t.Errorf("%q: answered with an identity: %q", sent, all)
		} else if bad := unjustified(all, trusted); bad != "" {
			t.Errorf("%q: answered with %q", sent, bad)
		}
		for _, seen := range app.seen() {
			if seen.bad || seen.identity != "" && !known {
				t.Errorf("%q: the application saw %+v", sent, seen)
			}
		}
	})
}

// A sighting is what a judgingApp saw.
type sighting struct {
	request, identity string
	bad               bool // it should not have been passed on
}

// A judgingApp judges what it is sent by what net/http reads.
type judgingApp struct {
	mu   sync.Mutex
	list []sighting
}

func (a *judgingApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-App", "1")
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return // an aborted request, which is none
	}
	s := sighting{request: r.Method + " " + r.RequestURI, identity: strings.Join(r.Header["X-User-Id"], ",")}
	asked := path.Clean(r.Header.Get("X-Forwarded-Prefix") + r.URL.Path) // clients cannot say what was stripped
	preflight := r.Method == http.MethodOptions && len(r.Header["Origin"]) == 1 && len(r.Header["Access-Control-Request-Method"]) == 1
	switch area, _, _ := strings.Cut(asked[1:], "/"); {
	case strings.HasPrefix(asked+"/", "/public/slash/secret/"), strings.HasPrefix(asked+"/", "/public/strip/secret/"):
		s.bad = s.identity != "identity-alice"
	case area == "pass" && preflight:
		s.bad = s.identity != ""
	case area == "public":
		s.bad = s.identity != ""
	case area == "optional":
		s.bad = s.identity != "" && s.identity != "identity-alice"
	case area == "deny", area == "strong":
		s.bad = true
	default:
		s.bad = s.identity != "identity-alice"
	}
	for name := range r.Header {
		if folded := strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name)); folded == "x-user-id" && name != "X-User-Id" {
			s.bad = true
		}
	}
	s.bad = s.bad || r.Trailer != nil || r.Header["X-Session-Token"] != nil
	a.mu.Lock()
	a.list = append(a.list, s)
	a.mu.Unlock()
}

// seen returns what was seen since it was last asked.
func (a *judgingApp) seen() []sighting {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := a.list
	a.list = nil
	return list
}

var success = regexp.MustCompile(`HTTP/1\.[01] 2[0-9][0-9] [^\r]*\r\n(?:[^\r\n]+\r\n)*\r\n`)

// unjustified returns the first head of a 2xx among the answers of a gateway that comes neither from the application nor from a face that
// knows who asks, and "" if there is none.
func unjustified(answers string, trusted bool) string {
	for _, head := range success.FindAllString(answers, -1) {
		count := func(name string) int { return strings.Count(head, "\r\n"+name+": ") }
		identities := []int{count("X-User-Id"), count("X-User-Email"), count("X-User-Phone")}
		whoami := count("X-Kratos-Authenticated-Identity-Id") == 1
		if count("X-App") == 0 && !whoami && !(trusted && slices.Equal(identities, []int{1, 1, 1})) {
			return head
		}
	}
	return ""
}
