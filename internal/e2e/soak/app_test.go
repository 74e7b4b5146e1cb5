package soak

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// content returns the body that belongs to one person and one nonce: a line that names both, and bytes that follow from it.
func content(identity, session, nonce string, size int) []byte {
	line := fmt.Sprintf("%s %s %s\n", identity, session, nonce)
	body := make([]byte, len(line)+size)
	copy(body, line)
	_, _ = rand.NewChaCha8(sha256.Sum256([]byte(line))).Read(body[len(line):]) // it never fails
	return body
}

// nobody is the identity and the session that content names where the application was told none.
const nobody = "-"

// An application answers with what it was told about who asks. It can be killed and started again at the same address.
type application struct {
	*place
	tally *tally

	// trouble is odd from before the application is killed until it is reached again. A request that sees the same even number before and
	// after had an application all the time.
	trouble atomic.Int64

	chats sync.Map // the connections of WebSockets, which the server forgets
}

func startApplication(t *testing.T, tally *tally) *application {
	a := &application{tally: tally}
	mux := http.NewServeMux()
	for _, access := range []string{"", "/public", "/optional"} {
		mux.HandleFunc("GET "+access+"/page", a.page)
	}
	mux.HandleFunc("GET /broken", a.broken)
	mux.HandleFunc("GET /events", a.events)
	mux.HandleFunc("GET /never", a.never)
	mux.HandleFunc("GET /chat", a.chat)
	mux.HandleFunc("POST /upload", a.upload)
	a.place = newPlace(t, mux)
	return a
}

// restart kills the application, and starts it again after some time. It returns when it is reached.
func (a *application) restart(down time.Duration, reached func()) {
	a.trouble.Add(1)
	a.kill()
	pause(down)
	a.serve()
	reached()
	a.trouble.Add(1)
}

// asked returns the content that a request asks for.
func asked(r *http.Request) []byte {
	size, _ := strconv.Atoi(r.FormValue("size"))
	return content(told(r, "x-user-id"), told(r, "x-session-id"), r.FormValue("nonce"), size)
}

// told returns all that a request says under a name and those that a CGI program takes for it.
func told(r *http.Request, name string) string {
	var values []string
	for n, v := range r.Header {
		if strings.ReplaceAll(strings.ToLower(n), "_", "-") == name {
			values = append(values, v...)
		}
	}
	return cmp.Or(strings.Join(values, ","), nobody)
}

// page sends the content, in chunks if the request says so.
func (a *application) page(w http.ResponseWriter, r *http.Request) {
	body := asked(r)
	if r.FormValue("chunked") == "" {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	_, _ = w.Write(body) // the client may have gone
}

// broken breaks off in the middle of a page.
func (a *application) broken(w http.ResponseWriter, r *http.Request) {
	body := asked(r)
	if r.FormValue("chunked") == "" {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	_, _ = w.Write(body[:len(body)/2])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// events sends the content as many times as the request says, each as an event of its own.
func (a *application) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	count, _ := strconv.Atoi(r.FormValue("count"))
	line := bytes.TrimSpace(asked(r))
	for i := range count {
		if _, err := fmt.Fprintf(w, "id: %d\ndata: %s\n\n", i, line); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
		pause(5 * time.Millisecond)
	}
}

// never answers only when nobody waits any more.
func (a *application) never(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// chat opens a WebSocket, says in its first message who the client is, and stays until the client goes.
func (a *application) chat(w http.ResponseWriter, r *http.Request) {
	line := bytes.TrimSpace(asked(r))
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		a.tally.wrong("chat: %v", err)
		return
	}
	a.chats.Store(c, nil)
	defer func() {
		a.chats.Delete(c)
		_ = c.Close()
	}()
	_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n")
	_, _ = rw.Write(append([]byte{0x81, byte(len(line))}, line...)) // RFC 6455 section 5.2: the whole of a text, of less than 126 bytes
	if rw.Flush() == nil {
		_, _ = io.Copy(io.Discard, rw)
	}
}

// kill closes the listener and all connections, those of WebSockets too.
func (a *application) kill() {
	a.place.kill()
	a.chats.Range(func(c, _ any) bool { _ = c.(net.Conn).Close(); return true })
}

// upload compares the body with the content, and sends it back. A body that was cut off must not look like a whole one.
func (a *application) upload(w http.ResponseWriter, r *http.Request) {
	got, err := io.ReadAll(r.Body)
	if err != nil {
		return // cut off, and seen to be
	}
	if want := asked(r); !bytes.Equal(got, want) {
		a.tally.wrong("the application got a whole upload of %d bytes that is not the one of %d bytes that %q sent", len(got), len(want),
			bytes.SplitN(want, []byte("\n"), 2)[0])
	}
	_, _ = w.Write(got)
}

// A place is an address at which something is served, or nothing for a while.
type place struct {
	t       *testing.T
	address string
	handler http.Handler
	server  *http.Server
}

// newPlace serves h on a port from outside of the range that outgoing connections get theirs from, since one of them could take it while
// nothing listens there.
func newPlace(t *testing.T, h http.Handler) *place {
	t.Helper()
	for range 1000 {
		p := &place{t: t, address: fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(10000)), handler: h}
		if ln, err := net.Listen("tcp", p.address); err == nil {
			p.serveAt(ln)
			t.Cleanup(p.kill)
			return p
		}
	}
	t.Fatal("no port is free")
	return nil
}

func (p *place) serveAt(ln net.Listener) {
	p.server = &http.Server{Handler: p.handler}
	go func() { _ = p.server.Serve(ln) }() // until it is closed
}

// serve serves again after kill.
func (p *place) serve() {
	ln, err := net.Listen("tcp", p.address)
	if err != nil {
		p.t.Errorf("listen again: %v", err)
		return
	}
	p.serveAt(ln)
}

// kill closes the listener and all connections.
func (p *place) kill() { _ = p.server.Close() }

// pause lets d go by.
func pause(d time.Duration) { <-time.After(d) }
