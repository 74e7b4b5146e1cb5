package config

import (
	"net"
	"strconv"
	"strings"
)

// suggest adds to a message what may have been meant, if that is known.
func suggest(message, meant string) string {
	if meant == "" {
		return message
	}
	return message + "; did you mean `" + meant + "`?"
}

// splitUnit splits a whole number and what follows it, in lower case. It reports false if there is no number.
func splitUnit(s string) (n uint64, unit string, ok bool) {
	s = strings.TrimSpace(s)
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	n, err := strconv.ParseUint(s[:digits], 10, 32)
	return n, strings.ToLower(strings.TrimSpace(s[digits:])), err == nil
}

// meantSize returns the size that somebody meant who wrote another unit, or "".
func meantSize(s string) string {
	n, unit, ok := splitUnit(s)
	if !ok {
		return ""
	}
	for _, u := range units() {
		name := strings.ToLower(u.name) // kib
		if unit == name || unit == name[:1] || unit == name[:1]+"b" {
			return strconv.FormatUint(n, 10) + u.name
		}
	}
	return ""
}

// meantDuration returns the duration that somebody meant who wrote another unit, or none, or "".
func meantDuration(s string) string {
	n, unit, ok := splitUnit(s)
	if !ok {
		return ""
	}
	switch strings.TrimSuffix(unit, "s") {
	case "", "sec", "second":
		unit = "s"
	case "m", "min", "minute":
		unit = "m"
	case "h", "hr", "hour":
		unit = "h"
	case "d", "day":
		n, unit = 24*n, "h"
	case "w", "week":
		n, unit = 7*24*n, "h"
	default:
		return ""
	}
	return strconv.FormatUint(n, 10) + unit
}

// meantURL returns the URL that somebody meant who left out the scheme, or "". That of an application has no path. It returns nothing that
// could hold a password.
func meantURL(s string, isService bool) string {
	if strings.ContainsAny(s, "@?#\\ ") || strings.Contains(s, "//") {
		return ""
	}
	authority, _, _ := strings.Cut(s, "/")
	host, port, err := net.SplitHostPort(authority)
	if err != nil {
		host, port = authority, "80"
	}
	if !isHost(host) || !isPort(port, 1) {
		return ""
	}
	if isService {
		return "http://" + s
	}
	return "http://" + authority
}
