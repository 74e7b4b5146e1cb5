package proxy

import (
	"errors"
	"net/netip"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
)

// forward sends the request to the application.
func (r *request) forward(app *App, head []byte) {
	if !r.occupy() {
		r.turnAway(policy.Limited, policy.TooManyRequests)
		return
	}
	var holder netip.Addr // of a tunnel
	if r.handshake {
		holder = r.holder()
		if over := r.tunnels.take(holder); over != 0 {
			r.conn.settle()
			r.turnAway(policy.Limited, limitTable[over].reason)
			return
		}
	}
	r.asked = asked{app: app, began: time.Now()}
	var err error
	if r.handshake {
		err = r.upgrade(app, head, holder)
	} else {
		err = app.exchange(r.base, r, head)
	}
	r.answered(err)
}

// An asked is an application that has been asked, and what came of that.
type asked struct {
	app   *App
	began time.Time
	conn  *appConn // by which the answer comes; nil if there is none
	err   error    // why not
}

// goOn goes on with a request that the lane has sent to the application, where the answer is none that the lane can pass on.
func (r *request) goOn() {
	if r.asked.conn == nil {
		r.answered(r.asked.err)
		return
	}
	r.answered(r.asked.app.answer(r, r.asked.conn, nil))
}

// answered goes on when the application has answered, or could not be asked.
func (r *request) answered(err error) {
	app, began := r.asked.app, r.asked.began
	if err == nil {
		app.cfg.Observer.Answered(r.ctx.Response.StatusCode(), time.Since(began))
		r.share()
		r.renew(r.decision.Renewed)
		return
	}
	r.conn.settle()
	r.ownAnswer()
	r.renew(r.decision.Renewed)
	if d, fault := r.clientFault(err); fault {
		app.cfg.Observer.Cut(ByClient)
		r.decision.Verdict, r.decision.Reason = d.Verdict, d.Reason
		r.answer(status(&d))
		return
	}
	if errors.Is(err, errPanicked) {
		r.decision.Verdict, r.decision.Reason = policy.Unavailable, policy.InternalError
		r.answer(fasthttp.StatusInternalServerError)
		return
	}
	if errors.Is(err, errClientGone) {
		app.cfg.Observer.Cut(ByClient)
		r.decision.Reason = policy.ClientGone
		r.last = true
		r.ctx.SetStatusCode(statusClientGone)
		return
	}
	app.cfg.Observer.Answered(0, time.Since(began))
	route := ""
	if r.decision.Reason = policy.StoreUnavailable; r.decision.Route != nil {
		r.decision.Reason, route = policy.ApplicationFailed, r.decision.Route.Name
	}
	if ok, missed := r.silentApp.allow(); ok {
		r.cfg.Logger.Warn(app.cfg.What+" did not answer", "app", app.Name(), "route", route, "path", string(r.target.Path),
			"error", err, "not_logged", missed)
	}
	r.answer(appStatus(err))
}

// occupy counts the request among those that its client has at the application. It reports false if there are too many.
func (r *request) occupy() bool {
	most := r.limits.RequestsPerClient
	if most == 0 {
		return true
	}
	client := r.holder()
	if !client.IsValid() {
		return true
	}
	if !r.open.occupy(client, most) {
		return false
	}
	r.conn.occupies = client
	return true
}

// clientFault returns the decision about a request that the application did not answer because of its body.
func (r *request) clientFault(err error) (d policy.Decision, ok bool) {
	switch over := Limit(r.conn.slow.Load()); {
	case errors.Is(err, errTooLarge):
		return beyond(BodyLimit), true
	case errors.Is(err, errAborted) && over != 0:
		return beyond(over), true
	default:
		return malformed(policy.AbortedBody), errors.Is(err, errAborted)
	}
}

// statusClientGone is what the access log says of a request whose client left before it was answered, as that of nginx does. Nobody is there
// to be told.
const statusClientGone = 499

// appStatus returns the status that says why the application did not answer.
func appStatus(err error) int {
	if errors.Is(err, errBusy) || errors.Is(err, errDown) {
		return fasthttp.StatusServiceUnavailable
	}
	if isTimeout(err) {
		return fasthttp.StatusGatewayTimeout
	}
	return fasthttp.StatusBadGateway
}
