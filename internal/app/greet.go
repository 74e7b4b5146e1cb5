package app

import (
	"context"
	"log/slog"
	"net"
	"net/url"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/config"
)

// greetTime is how long it may take to connect to the session service at the start.
const greetTime = 5 * time.Second

// greet tells the operator if the session service cannot be reached. Nothing else would before somebody signs in.
func greet(ctx context.Context, u config.NamedUpstream, logger *slog.Logger) {
	base, err := urlOf(u)
	if err != nil || u.Embedded != nil {
		return
	}
	timed, cancel := context.WithTimeout(ctx, greetTime)
	defer cancel()
	c, err := new(net.Dialer).DialContext(timed, "tcp", addressOf(base))
	switch {
	case err == nil:
		_ = c.Close()
	case ctx.Err() == nil:
		logger.Warn("session service cannot be reached: see whether it runs, and whether its url is right as seen from here. "+
			"Until it answers, whoever needs a session gets 503",
			"key", u.Key+"."+u.Service().Kind+".url", "url", base.String(), "error", err)
	}
}

// addressOf returns host and port of a URL.
func addressOf(u *url.URL) string {
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	return net.JoinHostPort(u.Hostname(), port)
}
