package proxy

import (
	"errors"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// errAborted says that the client ended the connection in the middle of a body. The application must see an aborted request, never a
// complete one that is too short.
var errAborted = errors.New("client aborted the request body")

// smallBody is the length up to which a body is sent before the response is looked at. A longer one is sent while the response is
// awaited, so that an early answer reaches the client.
const smallBody = 16 << 10

// An upload passes the body of a request on. Its fields are borrowed from the request, so that it must have ended before the handling of
// the request does.
type upload struct {
	client   *conn
	response *fasthttp.ResponseHeader // of the same request
	body     io.Reader                // nil when there is none
	length   int                      // -1 for chunked
	done     chan struct{}            // nil unless the body is sent in the background
	err      error                    // set once done is closed
}

// newUpload returns the upload of a request, which is without a body if the request has none.
func newUpload(ctx *fasthttp.RequestCtx, client *conn) *upload {
	u := &upload{client: client, response: &ctx.Response.Header, length: ctx.Request.Header.ContentLength()}
	if stream := ctx.RequestBodyStream(); stream != nil && u.length != 0 {
		u.body = stream
	}
	return u
}

// appendFraming appends the header line that frames the body, if one is needed.
func (u *upload) appendFraming(dst []byte, h *fasthttp.RequestHeader) []byte {
	switch {
	case u.body != nil && u.length < 0:
		return append(dst, "Transfer-Encoding: chunked\r\n"...)
	case u.body != nil:
		dst = append(dst, "Content-Length: "...)
		return append(strconv.AppendInt(dst, int64(u.length), 10), "\r\n"...)
	case u.length == 0 && !h.IsGet() && !h.IsHead():
		return append(dst, "Content-Length: 0\r\n"...)
	default:
		return dst
	}
}

// small reports whether the body is sent at once.
func (u *upload) small() bool { return u.body == nil || u.length >= 0 && u.length <= smallBody }

// start sends the body in the background. It gives the application headTimeout to answer once the body has been sent, and closes the
// connection to it if the body ends too early.
func (u *upload) start(c *appConn, headTimeout time.Duration) {
	u.done = make(chan struct{})
	go func() {
		defer close(u.done)
		if u.err = u.send(c); u.err != nil {
			_ = c.Close()
			return
		}
		_ = c.SetReadDeadline(time.Now().Add(headTimeout))
	}()
}

// finished reports whether nothing of the body is left to send.
func (u *upload) finished() bool {
	if u.done == nil {
		return true
	}
	select {
	case <-u.done:
		return u.err == nil
	default:
		return false
	}
}

// stop ends the upload, if need be in the middle, and returns when nothing of the request is in use any more.
func (u *upload) stop() {
	if u.done == nil {
		return
	}
	select {
	case <-u.done:
		return
	default:
	}
	u.client.interrupt()
	<-u.done
}

// send passes the body on, and returns an error unless all of it was sent.
func (u *upload) send(c *appConn) error {
	if u.body == nil {
		return nil
	}
	buf := uploadBuffers.Get().(*[smallBody]byte)
	defer uploadBuffers.Put(buf)
	if u.length < 0 {
		return u.sendChunks(c, buf[:])
	}
	for left := u.length; left > 0; {
		n, err := u.body.Read(buf[:min(left, len(buf))])
		if _, werr := c.w.Write(buf[:n]); werr != nil {
			return werr
		}
		if left -= n; left > 0 && err != nil {
			return errAborted
		}
	}
	return c.w.Flush()
}

func (u *upload) sendChunks(c *appConn, buf []byte) error {
	for {
		n, err := u.body.Read(buf)
		if n > 0 {
			var size [10]byte
			_, _ = c.w.Write(append(strconv.AppendInt(size[:0], int64(n), 16), "\r\n"...)) // bufio keeps the first error for Flush
			_, _ = c.w.Write(buf[:n])
			_, _ = c.w.WriteString("\r\n")
			if werr := c.w.Flush(); werr != nil {
				return werr
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF) && !u.client.ended:
			_, _ = c.w.WriteString("0\r\n\r\n")
			return c.w.Flush()
		default:
			return errAborted
		}
	}
}

var uploadBuffers = sync.Pool{New: func() any { return new([smallBody]byte) }}
