package proxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http/httputil"
	"runtime/debug"

	"github.com/valyala/fasthttp"
)

// The lengths by which fasthttp names the ways of framing a body.
const (
	chunkedBody    = -1
	untilCloseBody = -2
)

// A download is the body of a response on its way from the application to the client. fasthttp reads it after the handler has returned,
// and closes it. The connection goes back to the pool only if the body was read to its very end.
type download struct {
	app      *App
	client   *conn
	c        *appConn
	up       *upload   // of the same exchange; nil if it has ended
	chunks   io.Reader // not nil for a chunked body
	left     int       // of a body of known length; untilCloseBody otherwise
	reusable bool      // whether the application keeps the connection open
	complete bool
	broken   bool // by the application
}

// stream makes d the body of the response to r.
func (d *download) stream(r *request) {
	rc := r.ctx
	d.client.pending.Store(new(io.Closer(d)))
	switch {
	case d.left >= 0:
		rc.Response.SetBodyStream(d, d.left)
		return
	case d.left == chunkedBody:
		d.chunks = httputil.NewChunkedReader(d.c.r)
	default:
		d.reusable = false
	}
	if r.head.isHTTP11() {
		rc.Response.ImmediateHeaderFlush = true
		rc.Response.SetBodyStream(d, chunkedBody)
		return
	}
	// HTTP/1.0 knows no chunks: the body ends where the connection does (RFC 9112 section 6.3), which fasthttp does not offer.
	rc.HijackSetNoResponse(true)
	rc.Hijack(func(client net.Conn) {
		if d.client.pending.Swap(nil) == nil {
			return // closed meanwhile
		}
		defer func() {
			if failure := recover(); failure != nil { // nobody else would stop it here
				d.client.server.cfg.Logger.Error("panic while passing a response on: it was cut off", "panic", failure,
					"stack", string(debug.Stack()))
				d.client.reset()
			}
			_ = d.Close()
			_ = client.Close()
		}()
		h := &rc.Response.Header
		h.Del(fasthttp.HeaderTransferEncoding)
		h.SetContentLength(untilCloseBody)
		if _, err := client.Write(h.Header()); err == nil {
			if _, err = io.Copy(client, d); err != nil {
				d.client.reset()
			}
		}
	})
}

// Read reads the next piece. It returns io.EOF only at the true end of the body: one that is cut off ends in another error, so that the
// client sees it cut off as well.
func (d *download) Read(p []byte) (int, error) {
	if d.complete {
		return 0, io.EOF
	}
	if d.c.r.Buffered() == 0 {
		if err := d.c.allowRead(d.app.cfg.IdleTimeout); err != nil {
			return 0, err
		}
	}
	n, err := d.next(p)
	d.broken = err != nil && !d.complete && !errors.Is(err, errClientGone)
	return n, err
}

func (d *download) next(p []byte) (int, error) {
	if d.chunks != nil {
		n, err := d.chunks.Read(p)
		if errors.Is(err, io.EOF) {
			if err = d.trailers(); err == nil {
				d.complete = true
				err = io.EOF
			}
		}
		return n, err
	}
	if d.left >= 0 && len(p) > d.left {
		p = p[:d.left]
	}
	n, err := d.c.r.Read(p)
	switch {
	case d.left == untilCloseBody:
		d.complete = errors.Is(err, io.EOF)
		return n, err
	case errors.Is(err, io.EOF):
		return n, io.ErrUnexpectedEOF
	case err != nil:
		return n, err
	}
	if d.left -= n; d.left == 0 {
		d.complete = true
		return n, io.EOF
	}
	return n, nil
}

// WriteTo writes the whole body to w, each piece at once: fasthttp would keep pieces of a body of known length back until its buffer is full.
func (d *download) WriteTo(w io.Writer) (written int64, err error) {
	buf := uploadBuffers.Get().(*uploadBuffer)
	defer uploadBuffers.Put(buf)
	flush := func() error { return nil }
	if buffered, ok := w.(interface{ Flush() error }); ok {
		flush = buffered.Flush
	}
	for {
		n, err := d.Read(buf[:])
		if n > 0 {
			if _, werr := w.Write(buf[:n]); werr != nil {
				return written, werr
			}
			written += int64(n)
		}
		switch {
		case errors.Is(err, io.EOF) && d.complete:
			return written, nil
		case err != nil:
			return written, errors.Join(err, flush())
		case d.c.r.Buffered() == 0:
			if err := flush(); err != nil {
				return written, err
			}
		}
	}
}

// trailers reads over the trailer section. Trailers are not passed on: nothing that was not there when the head was judged may follow.
func (d *download) trailers() error {
	for range maxFields {
		line, err := d.c.r.ReadSlice('\n')
		if err != nil {
			return io.ErrUnexpectedEOF
		}
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			return nil
		}
	}
	return errors.New("response has too many trailers")
}

// Close ends the exchange. It is called once, whether or not the body was read to its end.
func (d *download) Close() error {
	d.client.pending.Store(nil)
	switch {
	case d.complete:
	case d.broken:
		d.app.cfg.Observer.Cut(ByApp)
	default:
		d.app.cfg.Observer.Cut(ByClient)
	}
	d.app.end(d.c, d.up, d.complete && d.reusable)
	d.client.settle()
	return nil
}
