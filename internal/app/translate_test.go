package app

import "testing"

// TestAddressOf holds that every application that the configuration takes can be dialled.
func TestAddressOf(t *testing.T) {
	f := func(app, want string) {
		t.Helper()
		if got := addressOf(app); got != want {
			t.Errorf("%s is dialled at %s, want %s", app, got, want)
		}
	}
	f("http://127.0.0.1:3000", "127.0.0.1:3000")
	f("http://app.example.com", "app.example.com:80")
	f("http://app.example.com/", "app.example.com:80")
	f("http://[::1]", "[::1]:80")
	f("http://[::1]:3000", "[::1]:3000")
}
