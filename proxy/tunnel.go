package proxy

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// A TunnelEnd says why a tunnel ended.
type TunnelEnd uint8

// The reasons. The zero TunnelEnd is no end.
const (
	EndedByClient     TunnelEnd = iota + 1 // the client closed it, or went away
	EndedByApp                             // the application did
	EndedByRevocation                      // the session was revoked, or the session service says that there is none any more
	EndedByExpiry                          // the session's time was up
	EndedByPolicy                          // the routes were reloaded, and would not let it in any more, or elsewhere
	EndedByOutage                          // it can no longer be known whose session it is
	EndedByIdleness                        // nothing passed for too long
	EndedByShutdown                        // the gateway ends
)

// TunnelEnds lists every TunnelEnd, for those who keep a table by it.
var TunnelEnds = [...]TunnelEnd{
	EndedByClient, EndedByApp, EndedByRevocation, EndedByExpiry, EndedByPolicy, EndedByOutage, EndedByIdleness, EndedByShutdown,
}

// String returns the reason as logs and metrics spell it.
func (e TunnelEnd) String() string {
	switch e {
	case EndedByClient:
		return "client"
	case EndedByApp:
		return "app"
	case EndedByRevocation:
		return "revoked"
	case EndedByExpiry:
		return "expired"
	case EndedByPolicy:
		return "policy"
	case EndedByOutage:
		return "outage"
	case EndedByIdleness:
		return "idle"
	case EndedByShutdown:
		return "shutdown"
	default:
		return "none"
	}
}

// farewell returns the close frame that tells the client, or nil where the tunnel did not end on our account. The codes are those of
// https://www.iana.org/assignments/websocket/websocket.xml: 1001 going away, 1008 policy violation, 1013 try again later.
func (e TunnelEnd) farewell() []byte {
	switch e {
	case EndedByRevocation, EndedByExpiry:
		return closeFrame(1008, "session has ended")
	case EndedByPolicy:
		return closeFrame(1008, "not allowed any more")
	case EndedByOutage:
		return closeFrame(1013, "session cannot be checked")
	case EndedByIdleness:
		return closeFrame(1001, "idle for too long")
	case EndedByShutdown:
		return closeFrame(1001, "gateway is shutting down")
	default:
		return nil
	}
}

// A tunnel is an open WebSocket: whatever one side sends reaches the other, byte for byte, and nothing in it is understood but where its
// frames begin. What it was let in by is in grounds.
type tunnel struct {
	grounds
	registry *tunnels
	holder   netip.Addr // on whose share it is; the zero Addr if on nobody's
	client   *conn
	app      net.Conn
	began    time.Time
	sent     frames // to the client

	active atomic.Bool // something has passed since somebody last looked
	halved atomic.Bool // one side will send nothing more
	ended  atomic.Bool
	why    atomic.Uint32 // a TunnelEnd
}

// upgrade passes a handshake on, and lets the tunnel begin if the application switches. It gives back the room that was taken for a tunnel
// of holder unless one begins, and returns the errors of [App.upgrade].
func (r *request) upgrade(app *App, head []byte, holder netip.Addr) error {
	begun := false
	defer func() {
		if !begun {
			r.tunnels.giveBack(holder)
		}
	}()
	c, answer, err := app.upgrade(r.base, r, head)
	if err != nil || c == nil {
		return err
	}
	begun = true
	r.conn.settle()
	for _, f := range r.decision.Renewed {
		answer = appendField(answer, []byte(f.Name), []byte(f.Value))
	}
	answer = append(answer, "\r\n"...)
	first, _ := c.r.Peek(c.r.Buffered())
	t := &tunnel{grounds: r.grounds(), registry: r.tunnels, holder: holder, client: r.conn, app: c.Conn, began: r.began}
	t.client.pending.Store(new(io.Closer(t)))
	r.ctx.SetStatusCode(fasthttp.StatusSwitchingProtocols) // for the log; the answer is our own
	r.ctx.HijackSetNoResponse(true)
	r.ctx.Hijack(func(handed net.Conn) {
		if t.client.pending.Swap(nil) == nil {
			return // closed meanwhile
		}
		early := t.client.takeEarly(handed)
		t.registry.add(t)
		go t.run(answer, first, early) // so that fasthttp's memory for the request is free again
	})
	return nil
}

// Close ends a tunnel that never began.
func (t *tunnel) Close() error {
	t.registry.giveBack(t.holder)
	return t.app.Close()
}

// run sends the answer to the handshake, and relays until the tunnel has ended. fromApp and fromClient is what was read already.
func (t *tunnel) run(answer, fromApp, fromClient []byte) {
	t.client.unread.Store(false)
	_, err := t.client.Write(answer)
	if err != nil {
		t.end(EndedByClient)
	}
	var both sync.WaitGroup
	both.Go(func() { t.relay(t.app, t.client, fromClient, EndedByClient, EndedByApp) })
	t.relay(toClient{t}, t.app, fromApp, EndedByApp, EndedByClient)
	both.Wait()
	t.finish(err == nil)
}

// toClient writes to the client, and knows where its frames begin.
type toClient struct{ *tunnel }

func (w toClient) Write(p []byte) (int, error) {
	n, err := w.client.Write(p)
	w.sent.pass(p[:n])
	return n, err
}

// CloseWrite ends what is sent to the client.
func (w toClient) CloseWrite() error {
	if !closeWrite(w.client.Conn) {
		return errors.ErrUnsupported
	}
	return nil
}

// pieces are what tunnels read into. Most hold one of them for each direction while nothing happens, so they are small.
var pieces = sync.Pool{New: func() any { return new([4 << 10]byte) }}

// relay passes on what comes from src, after first, until src ends. from and to say who is to blame for an end at src or dst.
func (t *tunnel) relay(dst io.Writer, src io.Reader, first []byte, from, to TunnelEnd) {
	piece := pieces.Get().(*[4 << 10]byte)
	defer pieces.Put(piece)
	for p := first; ; {
		if len(p) > 0 {
			if !t.active.Load() {
				t.active.Store(true)
			}
			if _, err := dst.Write(p); err != nil {
				t.end(to)
				return
			}
		}
		n, err := src.Read(piece[:])
		if p = piece[:n]; err == nil || n > 0 {
			continue // an error comes again
		}
		t.why.CompareAndSwap(0, uint32(from)) // before the other side hears of it, and ends too
		half, ok := dst.(interface{ CloseWrite() error })
		if errors.Is(err, io.EOF) && ok && half.CloseWrite() == nil {
			t.active.Store(true) // the end is something that passes
			t.halved.Store(true)
			return
		}
		t.end(from)
		return
	}
}

// end stops both directions. It may be called by anybody, and again; the first to say why is right.
func (t *tunnel) end(why TunnelEnd) {
	if t.ended.Swap(true) {
		return
	}
	t.why.CompareAndSwap(0, uint32(why))
	_ = t.client.SetDeadline(time.Unix(1, 0))
	_ = innermost(t.app).Close() // TLS would say goodbye first, and wait for seconds until that is taken, while all tunnels are locked
}

// finish closes what is left when nothing is relayed any more. Where the tunnel was ended by us the client is told, if it speaks WebSocket
// already, and not in the middle of a frame.
func (t *tunnel) finish(answered bool) {
	_ = t.app.Close()
	why := TunnelEnd(t.why.Load())
	if frame := why.farewell(); frame != nil && answered && t.sent.between() {
		_ = t.client.SetDeadline(time.Now().Add(lingerTime))
		if _, err := t.client.Write(frame); err == nil {
			t.client.unread.Store(true) // what it is sending now must not cost it the frame
		}
	}
	t.registry.remove(t, why)
	_ = t.client.Close() // after which Shutdown may return
}

// log writes the line of the access log for the end of a tunnel.
func (t *tunnel) log(why TunnelEnd) {
	attrs := []any{
		"client", t.client.RemoteAddr().String(), "host", string(t.target.Host), "path", string(t.target.Path), "route", t.route,
		"cause", why.String(), "took_seconds", time.Since(t.began).Seconds(),
	}
	if t.identity != "" {
		attrs = append(attrs, "identity", t.identity)
	}
	t.registry.logger.Info("tunnel", attrs...)
}
