package proxy_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// Many users at once, on all faces, each see nothing but their own identity, body and cookie, although everything that serves them is
// used again for others.
func TestNobodySeesAnybodyElse(t *testing.T) {
	// The application repeats what it is told and what it is sent.
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/early" {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("X-Seen", strings.Join(r.Header["X-User-Id"], ",")+" "+r.Header.Get("X-Mine")+" "+r.Header.Get("Cookie"))
		_, _ = w.Write(body)
		if r.URL.Path == "/chunked" {
			w.(http.Flusher).Flush()
			_, _ = w.Write(body)
		}
	}))
	defer app.Close()
	g := newGateway(t, app.Listener, trusting)
	const users, requests = 64, 40
	for i := range users {
		answer := hit(session(fmt.Sprint("user", i)))
		answer.Renewed = upstreamtest.SetCookie(fmt.Sprintf("ory_kratos_session=renewed%d; Path=/", i))
		g.sessions.know(fmt.Sprintf("cookie cookie%d", i), answer, nil)
	}
	var all sync.WaitGroup
	for i := range users {
		all.Go(func() {
			u := user{g: g, c: g.dial(), n: i, random: rand.New(rand.NewPCG(1, uint64(i)))}
			for range requests {
				u.ask()
			}
		})
	}
	all.Wait()
}

// A user asks for something at random and checks that the answer is theirs.
type user struct {
	g      *gateway
	c      *client
	n      int
	random *rand.Rand
}

func (u *user) ask() {
	_ = u.c.SetDeadline(time.Now().Add(patience))
	id, mine := fmt.Sprint("identity-user", u.n), fmt.Sprintf("mine%d", u.random.Int())
	lines := []string{fmt.Sprintf("Cookie: a=%s; ory_kratos_session=cookie%d", mine, u.n), "X-Mine: " + mine, "X-User-Id: root"}
	switch u.random.IntN(8) {
	case 0:
		u.expect("GET", request("GET", authPath, "", about("GET", "/x", lines...)...), "X-User-Id", id, "")
	case 1:
		u.expect("GET", request("GET", "/sessions/whoami", "", lines...), "X-Kratos-Authenticated-Identity-Id", id,
			string(session(fmt.Sprint("user", u.n)).Body))
	case 2:
		u.expect("POST", request("POST", "/x", mine, lines...), "X-Seen", id+" "+mine+" a="+mine, mine)
	case 3:
		long := strings.Repeat(mine, 4000)
		u.expect("POST", request("POST", "/x", long, lines...), "X-Seen", id+" "+mine+" a="+mine, long)
	case 4:
		long := strings.Repeat(mine, 400)
		u.expect("PUT", request("PUT", "/chunked", "", append(lines, "Transfer-Encoding: chunked")...)+chunks(long, 999)+"0\r\n\r\n",
			"X-Seen", id+" "+mine+" a="+mine, long+long)
	case 5:
		u.expect("HEAD", request("HEAD", "/x", "", lines...), "X-Seen", id+" "+mine+" a="+mine, "")
	case 6: // an answer before the end of the body ends the connection
		_, _ = io.WriteString(u.c, request("POST", "/early", strings.Repeat(mine, 40000), lines...))
		if res := u.c.next("POST"); res.StatusCode != 413 || !slices.Equal(res.Header["Set-Cookie"], u.cookie()) {
			u.g.t.Errorf("user %d: status %d head %v", u.n, res.StatusCode, res.Header)
		}
		_ = u.c.Close()
		u.c = u.g.dial()
	case 7: // nobody
		u.c.send(request("GET", "/x", "", "X-Mine: "+mine))
		if res := u.c.next("GET"); res.StatusCode != 401 || res.Header["Set-Cookie"] != nil {
			u.g.t.Errorf("user %d: status %d head %v", u.n, res.StatusCode, res.Header)
		}
	}
}

func (u *user) cookie() []string {
	return []string{fmt.Sprintf("ory_kratos_session=renewed%d; Path=/", u.n)}
}

// expect sends a request whose answer must be this user's.
func (u *user) expect(method, request, name, value, body string) {
	if _, err := io.WriteString(u.c, request); err != nil {
		u.g.t.Errorf("user %d: %v", u.n, err)
		return
	}
	res := u.c.next(method)
	if res.StatusCode != 200 || res.err != nil || res.Header.Get(name) != value || res.body != body ||
		!slices.Equal(res.Header["Set-Cookie"], u.cookie()) {
		u.g.t.Errorf("user %d: status %d error %v head %v, %d bytes, want %s: %s", u.n, res.StatusCode, res.err, res.Header,
			len(res.body), name, value)
	}
	if res.Close {
		_ = u.c.Close()
		u.c = u.g.dial()
	}
}
