package proxy_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gatehouse-proxy/gatehouse/internal/hostile"
	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// twoWays are two gateways that differ in nothing but that one has no lane.
type twoWays struct{ both [2]way }

// A way is a gateway, and what the application behind it is sent.
type way struct {
	*gateway
	mu    sync.Mutex
	heads []string // of requests that came whole
}

func newTwoWays(t testing.TB, changes ...func(*setup)) *twoWays {
	var ways twoWays
	for i := range ways.both {
		w := &ways.both[i]
		app := newApp(t, w.answer)
		w.gateway = newGateway(t, app, append(changes, func(s *setup) {
			s.LongWay, s.Explain = i == 1, true
			s.App.MaxAge = 1           // a connection that the application closes must not be met again, or not
			s.App.LookEvery = patience // these clients say with their last request that they will send no more
		})...)
	}
	return &ways
}

// answer answers each request in one of the ways in which applications answer, by the last byte of its path.
func (w *way) answer(c *appConn) {
	for {
		head, ok := c.request()
		if !ok {
			return
		}
		w.mu.Lock()
		w.heads = append(w.heads, head)
		w.mu.Unlock()
		method, rest, _ := strings.Cut(head, " ")
		target, _, _ := strings.Cut(rest, " ")
		path, _, _ := strings.Cut(target, "?")
		answer := appAnswers[int(path[len(path)-1])%len(appAnswers)]
		if end := strings.LastIndex(answer, "\r\n\r\n"); method == http.MethodHead {
			answer = answer[:end+len("\r\n\r\n")]
		}
		text, last := strings.CutPrefix(answer, "last ")
		if c.write(text); last {
			return
		}
	}
}

// appAnswers are answers of applications. The connection ends with those that begin with "last".
var appAnswers = []string{
	ok("hello", "Content-Type: text/plain"),
	ok("", "X-User-Id: app", "Set-Cookie: a=1", "Set-Cookie: b=2", "x-lower: 1", "Server: app"),
	ok("dated", "Date: Sat, 22 Nov 2025 12:00:00 GMT", "Connection: keep-alive, X-Hop", "X-Hop: 1", "Keep-Alive: timeout=5"),
	"last " + ok("last", "Connection: close"),
	"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n",
	"HTTP/1.1 304 Not Modified\r\nEtag: \"x\"\r\nContent-Length: 5\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/html\r\n\r\n5\r\nhello\r\n0\r\nX-Trailer: 1\r\n\r\n",
	"HTTP/1.1 404 Nowhere To Be Found\r\nContent-Length: 2\r\nX-Gatehouse-Reason: forged\r\n\r\nno",
	"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok("hinted"),
	"last HTTP/1.1 200 OK\r\nContent-Type: a\r\nContent-Type: b\r\n\r\nuntil the end",
	ok(strings.Repeat("0123456789abcdef", 2000), "Content-Encoding: identity"),
	"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Negotiate\r\nContent-Length: 0\r\n\r\n",
	"last HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX A: b\r\n\r\nspace",
	"last HTTP/1.1 200 OK\r\nX-A: b\r\n folded\r\nContent-Length: 6\r\n\r\nfolded",
	"last HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\ntwice",
	"last HTTP/1.1 200\r\nContent-Length: 9\r\n\r\nno reason",
	"last HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n1.0",
	"last nonsense\r\n\r\n",
	"last HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
	"last HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n",
	ok("x", "Trailer: X-A", "Upgrade: h2c", "Proxy-Authenticate: Basic", "X-A: b"),
	"last HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut off",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nVary: Accept\r\nVary: Origin\r\nX-Empty:\r\nX-Blank: \t a \t\r\ncontent-type: x\r\nserver:s\r\n\r\nok",
	"HTTP/1.1 500 \r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nX-A: \x80\r\nContent-Length: 0\r\n\r\n",
	"last HTTP/1.1 200 OK\r\nX-A: \x01\r\nContent-Length: 0\r\n\r\n",
	"last HTTP/1.1 200 OK\r\nNo colon\r\nContent-Length: 0\r\n\r\n",
	"last HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx",
	ok("x", "Keep-Alive: timeout=5", "Proxy-Connection: a", "TE: b", "Connection: Keep-Alive", "Proxy-Authenticate: Basic", "X-Gatehouse_Cache: c"),
	"HTTP/1.1 999 Odd\r\nContent-Length: 1\r\n\r\nx",
	"last " + ok("x", "Connection: close", "Connection: X-Hop", "X-Hop: 1"),
}

// An outcome is what became of one connection.
type outcome struct {
	Received string   // by the client, in any order of lines
	Bytes    string   // by the client, in the order that came
	Heads    []string // of the requests that the application got
	Decided  []observation
	Limited  []string
	Told     told
	Asked    []question // what was not to come from memory, of any age
	Looked   []question // all
}

// told is what else an observer was told.
type told struct {
	Began, Ended, Large int
	Foreign             []proxy.Dialect
	App                 []int
	Cut                 []proxy.Side
}

// send sends the pieces on one connection, the way of g, and returns what becomes of it.
func (w *way) send(t testing.TB, pieces []string) (o outcome) {
	t.Helper()
	nc, err := net.Dial(w.network, w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = nc.Close() }()
	_ = nc.SetDeadline(time.Now().Add(patience))
	for _, piece := range pieces {
		_, _ = io.WriteString(nc, piece) // the answer, and the end, may come before all of it is sent
	}
	_ = nc.(*net.TCPConn).CloseWrite()
	received, err := io.ReadAll(nc)
	if isTimeout(err) {
		t.Errorf("%q: no end of the connection after %q", pieces, received)
	}
	o.Bytes = dateLine.ReplaceAllString(string(received), "\r\nDate: today\r\n")
	o.Received = normalised(o.Bytes)
	w.observer.mu.Lock()
	o.Decided = w.observer.decided
	for _, l := range w.observer.limited {
		o.Limited = append(o.Limited, l.String())
	}
	o.Told = told{w.observer.began, w.observer.ended, w.observer.large, w.observer.foreign, w.observer.app, w.observer.cut}
	w.observer.decided, w.observer.limited = nil, nil
	w.observer.began, w.observer.ended, w.observer.large, w.observer.foreign, w.observer.app, w.observer.cut = 0, 0, 0, nil, nil, nil
	w.observer.mu.Unlock()
	w.sessions.mu.Lock()
	for _, q := range w.sessions.asked {
		if q.within != upstream.Unlimited {
			o.Asked = append(o.Asked, q)
		}
	}
	o.Looked, w.sessions.asked = w.sessions.asked, nil
	w.sessions.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	o.Heads, w.heads = w.heads, nil
	return o
}

var (
	dateLine = regexp.MustCompile(`\r\nDate: [^\r]* GMT\r\n`)
	headOnly = regexp.MustCompile(`HTTP/1\.1 [0-9]{3}[^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n`)
)

// normalised returns what was received with the lines of every head in the order of their names, in lower case. fasthttp writes them in an
// order of its own, and some names as it spells them.
func normalised(received string) string {
	return headOnly.ReplaceAllStringFunc(received, func(head string) string {
		if strings.HasPrefix(head, "HTTP/1.1 103 ") {
			return "" // fasthttp may hold back an earlier answer, and then it does not come
		}
		lines := strings.Split(strings.TrimSuffix(head, "\r\n\r\n"), "\r\n")
		for i, line := range lines[1:] {
			name, value, _ := strings.Cut(line, ":")
			lines[i+1] = strings.ToLower(name) + ":" + value
		}
		slices.SortStableFunc(lines[1:], func(a, b string) int {
			a, _, _ = strings.Cut(a, ":")
			b, _, _ = strings.Cut(b, ":")
			return strings.Compare(a, b)
		})
		return strings.Join(lines, "\r\n") + "\r\n\r\n"
	})
}

// compare fails unless the pieces have the same outcome either way.
func (ways *twoWays) compare(t testing.TB, pieces ...string) (short, long outcome) {
	t.Helper()
	short, long = ways.both[0].send(t, pieces), ways.both[1].send(t, pieces)
	if diff := cmp.Diff(long, short, cmpopts.IgnoreFields(outcome{}, "Bytes", "Looked"), cmp.AllowUnexported(question{})); diff != "" {
		t.Errorf("%.2000q (-by fasthttp +by the lane):\n%s", pieces, diff)
	}
	return short, long
}

// plainRequests are requests for every face that the lane may serve, or nearly.
func plainRequests() []string {
	all := slices.Clone(fuzzed)
	for _, sent := range benchRequests() {
		all = append(all, strings.NewReplacer(realToken, aliceToken, realCookie, aliceCookie).Replace(sent))
	}
	for _, path := range []string{"/x", "/public/x", "/optional/x", "/strong/x", "/deny/x", "/x?a=b", "/public/a%20b;c", "/x/../y", "/"} {
		for _, line := range []string{alice, bob, "X-Session-Token: nobody", "Cookie: a=1; ory_kratos_session=" + aliceCookie, "Accept: text/html"} {
			all = append(all, request("GET", path, "", line), request("HEAD", path, "", line))
		}
	}
	for i := range appAnswers {
		path := fmt.Sprintf("/public/%c", ']'+i) // which a path may end in, up to '~'
		all = append(all, request("GET", path, ""), request("HEAD", path, ""), request("GET", path, "", "Connection: close"))
	}
	return append(all,
		request("POST", "/x", "hello", alice), request("POST", "/x", "", alice, "Content-Length: 0"), request("DELETE", "/x", "", alice),
		request("GET", "/sessions/whoami", "", alice, "Cache-Control: max-age=0"), request("GET", "/sessions/whoami?a=b", "", alice),
		request("HEAD", "/sessions/whoami", "", alice), request("GET", "/sessions/whoami", "", alice, "Connection: close"),
		request("GET", "/x", "", alice, "Authorization: Negotiate x"), request("GET", "/x", "", alice, "X-Forwarded-For: 1.2.3.4, ::1"),
		request("GET", "/x", "", alice, "X-Forwarded-Proto: https", "X-Forwarded-Host: a.example.com", "X-Forwarded-Port: 8443"),
		request("GET", "/x", "", alice, "Host: b"), "GET /x HTTP/1.1\r\n"+alice+"\r\n\r\n", request("GET", "/x", "", alice, "host:app.example.com"),
		request("DELETE", "/x", "", alice, "Early-Data: 1"), request("GET", authPath, "", about("PUT", "/x", alice, "early-data: 0")...),
		request("OPTIONS", "/x", "", alice), request("TRACE", authPath, "", about("GET", "/x", alice)...),
		request("GET", authPath, "", about("OPTIONS", "/x", alice)...), request("GET", authPath, "", about("GET", "/strong/x", alice)...),
		"GET /x HTTP/1.1\r\nHost: [::1]:80\r\n"+alice+"\r\n\r\n", "GET /x HTTP/1.1\r\nHost: a..b\r\n"+alice+"\r\n\r\n",
		"GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 0\r\n"+alice+"\r\n\r\nhello", // https://www.rfc-editor.org/rfc/rfc9112#section-6.3
		"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 5\r\n"+alice+"\r\n\r\nhello",
		"GET /x HTTP/1.1\r\nHost: a:99999\r\n"+alice+"\r\n\r\n", "GET /x HTTP/1.1\r\nHost: a:\r\n"+alice+"\r\n\r\n",
	)
}

// mutated returns requests, one after the other, with a few bytes changed, in pieces.
func mutated(g *rand.Rand, from []string) []string {
	var b []byte
	for range 1 + g.IntN(3) {
		b = append(b, from[g.IntN(len(from))]...)
	}
	for range g.IntN(4) {
		at := g.IntN(len(b))
		piece := oddities[g.IntN(len(oddities))]
		b = slices.Replace(b, at, min(len(b), at+g.IntN(3)), []byte(piece)...)
	}
	var pieces []string
	for range g.IntN(3) {
		at := g.IntN(len(b) + 1)
		pieces, b = append(pieces, string(b[:at])), b[at:]
	}
	return append(pieces, string(b))
}

// oddities are what makes of a plain request another one.
var oddities = []string{
	"", "", "\r\n", "\n", "\r", " ", "\t", ":", "\x00", "\x7f", "\x80", "/", "//", "%2f", "..", "?", "#", "Connection: close\r\n",
	"Content-Length: 5\r\n", "Content-Length: 0\r\n", "Transfer-Encoding: chunked\r\n", "Expect: 100-continue\r\n", "Host: b\r\n", "\r\n\r\n", "HTTP/1.0", "@", "A",
	"Upgrade: websocket\r\n", "Cookie: ory_kratos_session=x\r\n", "Early-Data: 1\r\n", "Trailer: X-User-Id\r\n", "TE: trailers\r\n",
	"Connection: X-User-Id\r\n", "X_User_Id: root\r\n", "Connection: keep-alive\r\n", "X-Forwarded-Uri: /y\r\n", "0", "-", "GET ",
}

// Whatever comes on a connection, the lane changes nothing: clients, applications and observers see what they would see without it.
func TestTheLaneChangesNothing(t *testing.T) {
	for name, change := range map[string]func(*setup){"stranger": func(*setup) {}, "front proxy": trusting} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ways := newTwoWays(t, change)
			plain := plainRequests()
			for _, sent := range plain {
				ways.compare(t, sent)
			}
			for seed := range uint64(3000) {
				g := rand.New(rand.NewPCG(seed, 2))
				if seed%3 == 0 {
					ways.compare(t, string(hostile.Connection(seed)))
				} else {
					ways.compare(t, mutated(g, plain)...)
				}
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
		})
	}
}

// The gateway's own answers are the same to the byte.
func TestTheLaneAnswersInTheSameBytes(t *testing.T) {
	ways := newTwoWays(t, trusting)
	for name, sent := range benchRequests() {
		sent = strings.NewReplacer(realToken, aliceToken, realCookie, aliceCookie).Replace(sent)
		for _, sent := range []string{sent, "HEAD" + strings.TrimPrefix(sent, "GET"), strings.Replace(sent, "\r\n", "\r\nConnection: close\r\n", 1)} {
			short, long := ways.compare(t, sent, sent)
			if short.Bytes != long.Bytes || !strings.HasPrefix(short.Bytes, "HTTP/1.1 200 OK\r\n") {
				t.Errorf("%s: %q, and by fasthttp %q", name, short.Bytes, long.Bytes)
			}
		}
	}
}

// An id of a service that takes any text for one ends no line of an answer.
func TestTheLaneSplitsNoAnswer(t *testing.T) {
	ways := newTwoWays(t)
	for _, id := range []string{"a\r\nX-B: c", "a\r\n\r\nHTTP/1.1 200 OK", "a\nb", "a\x00", "ä"} {
		for i := range ways.both {
			eve := session("eve")
			eve.IdentityID = id
			ways.both[i].sessions.know("session_token eve", hit(eve), nil)
		}
		sent := request("GET", "/sessions/whoami", "", "X-Session-Token: eve")
		ways.compare(t, sent, sent)
	}
}
