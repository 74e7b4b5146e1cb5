package load

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// An engine runs one Plan.
type engine struct {
	plan   Plan
	size   int    // of an answer
	status []byte // how an answer begins, up to its status
	peer   unix.SockaddrInet4
	epoll  int
	timer  int
	conns  []conn
	free   []int // of conns, those that wait for nothing
	busy   int
	sent   int
	freed  time.Duration // when there was a connection again after there had been none
	looked clocks        // when a load that spins last looked for answers
	away   time.Duration // when it did so again after it had not run for a while
	due    *arrivals
	buf    []byte
	began  time.Time
	result Result
}

// A conn is one connection, or the place of one.
type conn struct {
	fd   int
	due  time.Duration // of the request that is under way
	got  int           // of its answer
	open bool
}

// timerKey is what epoll calls the timer; it calls connections by their index.
const timerKey = -1

// newEngine returns what runs p, whose requests are answered as by answer.
func newEngine(p Plan, answer []byte) (e *engine, err error) {
	addr, err := netip.ParseAddrPort(p.Address)
	if err != nil {
		return nil, fmt.Errorf("read address: %w", err)
	}
	e = &engine{
		plan: p, size: len(answer), status: answer[:len("HTTP/1.1 200 ")], peer: unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()},
		epoll: -1, timer: -1, conns: make([]conn, p.Connections), buf: make([]byte, len(answer)+1),
		due: newArrivals(p.Rate, p.Length, p.Seed),
	}
	if p.Rate > 0 {
		n := int(p.Rate*p.Length.Seconds()*1.2) + 1000 // so that none is allocated under way
		e.result.Latencies, e.result.Delays = make([]time.Duration, 0, n), make([]time.Duration, 0, n)
	}
	if p.Vary != nil {
		e.plan.Request = bytes.Clone(p.Request)
	}
	defer func() {
		if err != nil {
			e.close()
		}
	}()
	if e.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if e.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	if err = e.watch(e.timer, timerKey); err != nil {
		return nil, err
	}
	for i := range e.conns {
		e.free = append(e.free, i)
		if !p.Anew {
			if err = e.connect(i); err != nil {
				return nil, err
			}
		}
	}
	return e, nil
}

func (e *engine) watch(fd, key int) error {
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(key)}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(e.epoll, unix.EPOLL_CTL_ADD, fd, &event))
}

// connect opens connection i. On the loopback interface that does not wait for the server.
func (e *engine) connect(i int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	e.conns[i] = conn{fd: fd, open: true}
	if err := unix.Connect(fd, &e.peer); err != nil {
		return os.NewSyscallError("connect", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if e.plan.Anew { // a reset spares the port its minute of TIME_WAIT
		if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	return e.watch(fd, i)
}

func (e *engine) disconnect(i int) {
	if c := &e.conns[i]; c.open {
		_ = unix.Close(c.fd)
		c.open = false
	}
}

func (e *engine) close() {
	for i := range e.conns {
		e.disconnect(i)
	}
	for _, fd := range [...]int{e.epoll, e.timer} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

func (e *engine) run() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	events := make([]unix.EpollEvent, len(e.conns)+1)
	e.began = time.Now()
	heard := e.began
	for {
		waiting, err := e.send()
		if err != nil {
			return err
		}
		if e.busy == 0 && !waiting {
			return nil
		}
		n, err := e.wait(events)
		if err != nil {
			return err
		}
		now := time.Now()
		for _, event := range events[:n] {
			if event.Fd == timerKey {
				continue // it is silent when it is set again
			}
			heard = now
			if err := e.receive(int(event.Fd), now.Sub(e.began)); err != nil {
				return err
			}
		}
		if e.busy > 0 && now.Sub(heard) > 10*time.Second {
			return errStall
		}
	}
}

// clocks are the time on the wall, and that for which this thread has run.
type clocks struct{ wall, ran time.Duration }

// mostAway is for how long a load that spins may not have run and still be believed about when an answer came.
const mostAway = 50 * time.Microsecond

// look notes that the load looks for answers, for which it may have slept. If it has not slept since it last looked, and did not run all the time
// nevertheless, the processor had something else to do.
func (e *engine) look(slept bool) error {
	var ran unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ran); err != nil {
		return os.NewSyscallError("clock_gettime", err)
	}
	now := clocks{time.Since(e.began), time.Duration(ran.Nano())}
	if !slept && now.wall-e.looked.wall-(now.ran-e.looked.ran) > mostAway {
		e.away = now.wall
	}
	e.looked = now
	return nil
}

// send sends the requests that are due over the connections that are free. It reports whether there are more to come.
func (e *engine) send() (waiting bool, err error) {
	for {
		due, more := e.due.next()
		now := time.Since(e.began)
		closedLoop := e.plan.Rate == 0
		if !more || closedLoop && now >= e.plan.Length || e.sent == e.plan.Count && e.sent > 0 {
			return false, nil
		}
		if now > 3*e.plan.Length+time.Second {
			e.result.Overrun = true
			return false, nil
		}
		if len(e.free) == 0 || due > now {
			return true, nil
		}
		i := e.free[len(e.free)-1]
		e.free = e.free[:len(e.free)-1]
		e.busy++
		if e.plan.Anew {
			if err := e.connect(i); err != nil {
				return false, err
			}
		}
		c := &e.conns[i]
		c.due, c.got = due, 0
		if !closedLoop {
			e.result.Delays = append(e.result.Delays, now-max(due, e.freed))
		}
		if e.plan.Vary != nil {
			e.plan.Vary(e.plan.Request, e.sent)
		}
		e.sent++
		if n, err := unix.Write(c.fd, e.plan.Request); err != nil {
			return false, os.NewSyscallError("write", err)
		} else if n < len(e.plan.Request) {
			return false, errClosed
		}
		e.due.advance()
	}
}

// wait waits for answers, or until the next request is due if a connection is free for it.
func (e *engine) wait(events []unix.EpollEvent) (int, error) {
	timeout := 1000
	if due, more := e.due.next(); e.plan.Rate > 0 && more && len(e.free) > 0 {
		if e.plan.Spin {
			timeout = 0
		} else {
			left := unix.NsecToTimespec(max(int64(due-time.Since(e.began)), 1))
			if err := unix.TimerfdSettime(e.timer, 0, &unix.ItimerSpec{Value: left}, nil); err != nil {
				return 0, os.NewSyscallError("timerfd_settime", err)
			}
		}
	}
	n, err := unix.EpollWait(e.epoll, events, timeout)
	if e.plan.Spin {
		if err := e.look(timeout > 0); err != nil {
			return 0, err
		}
	}
	if err == unix.EINTR {
		return 0, nil
	}
	return max(n, 0), os.NewSyscallError("epoll_wait", err)
}

// receive takes in what came over connection i.
func (e *engine) receive(i int, now time.Duration) error {
	c := &e.conns[i]
	n, err := unix.Read(c.fd, e.buf)
	if err == unix.EAGAIN {
		return nil
	}
	if err != nil {
		return os.NewSyscallError("read", err)
	}
	if n == 0 {
		if !e.plan.Anew || c.got < e.size {
			return errClosed
		}
		e.disconnect(i)
		e.release(i)
		return nil
	}
	if c.got == 0 && !bytes.HasPrefix(e.buf[:n], e.status) {
		return errStatus
	}
	if c.got += n; c.got > e.size {
		return errSize
	} else if c.got < e.size {
		return nil
	}
	e.result.Answers++
	switch {
	case e.plan.Rate == 0:
	case e.plan.Spin && c.due <= e.away:
		e.result.Unseen++
	default:
		e.result.Latencies = append(e.result.Latencies, now-c.due)
	}
	if !e.plan.Anew { // else the server still has to close it
		e.release(i)
	}
	return nil
}

func (e *engine) release(i int) {
	if len(e.free) == 0 {
		e.freed = time.Since(e.began)
	}
	e.free = append(e.free, i)
	e.busy--
}
