package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/gatehouse-proxy/gatehouse/bench/load"
)

// playArgument makes this program one of those that it plays itself: it is followed by who, the address to listen at, and what else that
// one needs.
const playArgument = "play"

// The servers that this program is itself.
var (
	application = kind{"application", func(a *arena) (*server, error) {
		return a.startSelf("app", a.cpus.load)
	}}
	sessionService = kind{"session service", func(a *arena) (*server, error) {
		return a.startSelf("sessions", a.cpus.load)
	}}
	fastForwarder = kind{"fasthttp HostClient", func(a *arena) (*server, error) {
		return a.startSelf("fast-forward", a.cpus.server, a.app.address)
	}}
	netForwarder = kind{"httputil.ReverseProxy", func(a *arena) (*server, error) {
		return a.startSelf("net-forward", a.cpus.server, a.app.address)
	}}
)

// bareFast and bareNet answer everybody as Gatehouse does the question that makes, byte for byte as far as their libraries allow, and
// decide nothing.
func bareFast(name string, question func(*session) []byte) kind {
	return kind{"bare fasthttp, " + name, func(a *arena) (*server, error) { return a.startBare("bare-fast", question) }}
}

func bareNet(name string, question func(*session) []byte) kind {
	return kind{"bare net/http, " + name, func(a *arena) (*server, error) { return a.startBare("bare-net", question) }}
}

func (a *arena) startBare(who string, question func(*session) []byte) (*server, error) {
	g, err := a.server(gatehouse)
	if err != nil {
		return nil, err
	}
	answer, err := load.Ask(g.address, question(g.session))
	if err != nil {
		return nil, fmt.Errorf("ask Gatehouse: %w", err)
	}
	file, err := a.write("answer", answer)
	if err != nil {
		return nil, err
	}
	s, err := a.startSelf(who, a.cpus.server, file)
	if err != nil || who != "bare-fast" {
		return s, err
	}
	if own, err := load.Ask(s.address, question(g.session)); err != nil || len(own) != len(answer) {
		s.stop()
		return nil, fmt.Errorf("its answer has %d bytes, that of Gatehouse has %d: %v", len(own), len(answer), err)
	}
	return s, nil
}

// startSelf runs this program as somebody else.
func (a *arena) startSelf(who string, cpu int, args ...string) (*server, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	return start(exec.Command(self, append([]string{playArgument, who, address}, args...)...), address, cpu)
}

// play is the other end of startSelf.
func play(args []string) error {
	who, address, rest := args[0], args[1], args[2:]
	switch who {
	case "app":
		return serveApp(address)
	case "sessions":
		return serveSessions(address, rest)
	case "rush":
		return rush(address, rest[0], rest[1])
	case "fast-forward":
		return serveFastForwarder(address, rest[0])
	case "net-forward":
		return http.ListenAndServe(address, netForward(rest[0]))
	case "bare-fast":
		return serveBareFast(address, rest[0])
	case "bare-net":
		return serveBareNet(address, rest[0])
	default:
		return fmt.Errorf("nobody is called %s", who)
	}
}

// fastServer returns a server of fasthttp with the settings of Gatehouse's.
func fastServer(handler fasthttp.RequestHandler, dated bool) *fasthttp.Server {
	return &fasthttp.Server{
		Handler: handler, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 90 * time.Second,
		ReadBufferSize: 64 << 10, NoDefaultServerHeader: true, NoDefaultContentType: true, NoDefaultDate: !dated,
	}
}

// readAnswer returns the fields and the body of an answer in a file, without those that a server adds itself, and whether it is dated.
func readAnswer(file string) (fields [][2]string, body []byte, dated bool, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, false, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(text)), nil)
	if err != nil {
		return nil, nil, false, fmt.Errorf("read answer: %w", err)
	}
	if body, err = io.ReadAll(resp.Body); err != nil {
		return nil, nil, false, fmt.Errorf("read answer: %w", err)
	}
	for name, values := range resp.Header {
		switch name {
		case "Date":
			dated = true
		case "Content-Length":
		default:
			fields = append(fields, [2]string{name, values[0]})
		}
	}
	return fields, body, dated, nil
}

func serveBareFast(address, file string) error {
	fields, body, dated, err := readAnswer(file)
	if err != nil {
		return err
	}
	var prebuilt [][2][]byte
	for _, f := range fields {
		prebuilt = append(prebuilt, [2][]byte{[]byte(f[0]), []byte(f[1])})
	}
	return fastServer(func(ctx *fasthttp.RequestCtx) {
		for _, f := range prebuilt {
			ctx.Response.Header.SetCanonical(f[0], f[1])
		}
		ctx.Response.SetBodyRaw(body)
	}, dated).ListenAndServe(address)
}

func serveBareNet(address, file string) error {
	fields, body, _, err := readAnswer(file)
	if err != nil {
		return err
	}
	return http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		for _, f := range fields {
			h[f[0]] = []string{f[1]}
		}
		_, _ = w.Write(body)
	}))
}

// serveFastForwarder passes every request on to the application with the client of fasthttp, as it came.
func serveFastForwarder(address, app string) error {
	client := &fasthttp.HostClient{
		Addr: app, MaxConns: 1024, ReadTimeout: time.Minute, WriteTimeout: time.Minute, NoDefaultUserAgentHeader: true,
	}
	return fastServer(func(ctx *fasthttp.RequestCtx) {
		if err := client.Do(&ctx.Request, &ctx.Response); err != nil {
			ctx.Error("application does not answer", fasthttp.StatusBadGateway)
		}
	}, true).ListenAndServe(address)
}

// netForward returns a proxy of the standard library that keeps connections to the application.
func netForward(app string) http.Handler {
	to := &url.URL{Scheme: "http", Host: app}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.SetXForwarded()
		},
		Transport: &http.Transport{MaxIdleConnsPerHost: 1024, DisableCompression: true, DialContext: new(net.Dialer).DialContext},
	}
}
