package proxy

import (
	"cmp"
	"errors"
	"io"
	"math"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// errAborted says that the body of a request ended before its end, or was not framed as announced. The application must see an aborted
// request or none, never a complete one that is too short.
var errAborted = errors.New("client did not send the whole request body")

// errTooLarge says that the body of a request has turned out to be larger than it may be. The application must see an aborted request.
var errTooLarge = errors.New("request body is larger than it may be")

// errPanicked says that something panicked while the body of a request was passed on. The application must see an aborted request.
var errPanicked = errors.New("panic while the request body was passed on")

// gaveUp reports whether an upload ended in an error after which the application waits for the rest of the body.
func gaveUp(err error) bool {
	return errors.Is(err, errAborted) || errors.Is(err, errTooLarge) || errors.Is(err, errPanicked) || isTimeout(err)
}

// errStopped says that an upload was ended because nobody wants it any more.
var errStopped = errors.New("upload was stopped")

// smallBody is the length up to which a body is read before a connection to the application is taken, so that a slow client holds none.
// A longer one is sent while the response is awaited, so that an early answer reaches the client.
const smallBody = 16 << 10

// appendBody appends to a head what frames the body of the request and, if it is small, the body itself. If it is not small, appendBody
// returns the upload that is to send it, and else nil.
func appendBody(message []byte, r *request, cfg *AppConfig) ([]byte, *upload, error) {
	length := r.head.length
	switch {
	case !r.head.hasBody():
		if r.head.is("POST") || r.head.is("PUT") || r.head.is("PATCH") { // RFC 9110 section 8.6
			message = append(message, "Content-Length: 0\r\n"...)
		}
		return append(message, "\r\n"...), nil, nil
	case length == chunkedBody:
		message = append(message, "Transfer-Encoding: chunked\r\n\r\n"...)
	default:
		message = strconv.AppendInt(append(message, "Content-Length: "...), int64(length), 10)
		message = append(message, "\r\n\r\n"...)
	}
	client, body := r.conn, r.ctx.RequestBodyStream()
	client.stream()
	if length < 0 || length > smallBody {
		return message, &upload{client: client, body: body, left: length, most: cmp.Or(r.maxBody(), math.MaxInt64), idle: cfg.HeadTimeout}, nil
	}
	start := len(message)
	message = slices.Grow(message, length)[:start+length]
	if _, err := io.ReadFull(body, message[start:]); err != nil {
		return message, nil, errAborted
	}
	client.unread.Store(false)
	return message, nil, nil
}

// hasRequestBody reports whether a request announces a body.
func hasRequestBody(h *fasthttp.RequestHeader) bool {
	length := h.ContentLength()
	return length > 0 || length == chunkedBody
}

// An upload passes the body of a request on while the response is awaited. It borrows the body from the request, so that it must have
// ended before the handling of the request does. The nil upload has nothing to send and has ended.
type upload struct {
	client *conn
	body   io.Reader
	left   int           // chunkedBody if only its end tells
	most   int64         // that may still come
	idle   time.Duration // for one write
	done   chan struct{} // closed when the upload has ended; err is set before
	err    error

	read atomic.Bool // the body has been read to its end, though it may not have been sent yet

	mu       sync.Mutex
	answered bool
}

// start begins to send the body by c. If the body ends too early, or the application does not take it, the connection to the application
// is closed. Otherwise the application has headTimeout to answer from then on; an application that wants no more of the body may have
// answered already.
func (u *upload) start(c *appConn, headTimeout time.Duration) {
	u.done = make(chan struct{})
	go func() {
		defer close(u.done)
		u.err = u.send(c)
		if gaveUp(u.err) {
			_ = c.Close()
			return
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		if !u.answered {
			_ = c.allowRead(headTimeout)
		}
	}()
}

// answer says that the head of the response is there, so that the time in which to read it is no more the upload's to set.
func (u *upload) answer() {
	if u != nil {
		u.mu.Lock()
		u.answered = true
		u.mu.Unlock()
	}
}

// taken reports whether the whole body has been read from the client.
func (u *upload) taken() bool { return u == nil || u.read.Load() }

// finished reports whether the whole body has been sent.
func (u *upload) finished() bool {
	if u == nil {
		return true
	}
	select {
	case <-u.done:
		return u.err == nil
	default:
		return false
	}
}

// stop ends the upload by c, if need be in the middle, and returns why it ended: nil if the whole body was sent. It is not the client's
// fault if the upload was waiting for the client when it was stopped.
func (u *upload) stop(c *appConn) error {
	if u == nil || u.done == nil { // there is none, or it was never started
		return nil
	}
	select {
	case <-u.done:
	default:
		_ = c.Close() // ends a write
		if !u.taken() {
			u.client.interrupt()
		}
		<-u.done
	}
	return u.err
}

// Room for the framing of a chunk around its data.
const (
	chunkHead = 8 // the size in hexadecimal, and CRLF
	chunkTail = 2 // CRLF
)

type uploadBuffer [chunkHead + smallBody + chunkTail]byte

var uploadBuffers = sync.Pool{New: func() any { return new(uploadBuffer) }}

// send passes the body on, and returns an error unless all of it was sent. That is so for a panic, too: nobody else would stop it here.
func (u *upload) send(c *appConn) (err error) {
	defer func() {
		if failure := recover(); failure != nil {
			u.client.server.cfg.Logger.Error("panic while passing a request body on: the request was cut off", "panic", failure,
				"stack", string(debug.Stack()))
			err = errPanicked
		}
	}()
	buf := uploadBuffers.Get().(*uploadBuffer)
	defer uploadBuffers.Put(buf)
	chunked := u.left == chunkedBody
	for u.left != 0 {
		data := buf[chunkHead : chunkHead+smallBody]
		if !chunked {
			data = data[:min(u.left, len(data))]
		}
		n, err := u.body.Read(data)
		if u.most -= int64(n); u.most < 0 {
			return errTooLarge
		}
		if n > 0 {
			piece := data[:n]
			if chunked {
				piece = buf.chunk(n)
			} else {
				u.left -= n
				u.read.Store(u.left == 0)
			}
			if werr := u.write(c, piece); werr != nil {
				return werr
			}
		}
		switch {
		case err == nil || u.left == 0:
		case chunked && errors.Is(err, io.EOF) && !u.client.ended:
			u.read.Store(true)
			return u.write(c, []byte("0\r\n\r\n"))
		case u.client.interrupted.Load():
			return errStopped
		default:
			return errAborted
		}
	}
	return nil
}

// chunk frames the n bytes of data in b as a chunk.
func (b *uploadBuffer) chunk(n int) []byte {
	var size [chunkHead]byte
	head := append(strconv.AppendInt(size[:0], int64(n), 16), "\r\n"...)
	start := chunkHead - len(head)
	copy(b[start:], head)
	copy(b[chunkHead+n:], "\r\n")
	return b[start : chunkHead+n+chunkTail]
}

func (u *upload) write(c *appConn, p []byte) error {
	if err := c.SetWriteDeadline(time.Now().Add(u.idle)); err != nil {
		return err
	}
	_, err := c.Write(p)
	return err
}
