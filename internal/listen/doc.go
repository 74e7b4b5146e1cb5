// Package listen opens what clients connect to: TCP and unix sockets, and sockets that systemd holds. It speaks TLS on them, and the PROXY
// protocol with the load balancers in front. What it hands out are ordinary listeners, for whatever server.
//
// # Promises
//
//   - Accepting waits for nobody. A connection is handed out once its peer is known and its TLS handshake is done. Until then it has
//     a goroutine of its own and ten seconds, whoever else is slow.
//   - A lack of file descriptors or memory delays connections and ends nothing.
//   - The PROXY protocol is spoken on the listeners that are told to, by the peers that are allowed to, and by these always. Nobody
//     else is served there: who could send a header of his own could choose his address, and who need not send one would be taken for
//     the load balancer (section 2 of the specification: the receiver must not guess whether there is a header, and one port is not
//     shared by those who send it and those who do not).
//   - From then on the peer is who the header names, for every purpose. A connection whose header names nobody (LOCAL, UNKNOWN, or what
//     is neither TCP over IPv4 nor over IPv6) has a peer without address, which no list of trusted addresses contains. That a load
//     balancer may say who the client is does not mean that the client may say it too.
//   - TLS is 1.2 or 1.3, for HTTP/1.1 only, and without early data. A client certificate that is asked for is verified, by the
//     authorities in force at that moment, also when a session is resumed.
//   - A certificate that cannot be loaded changes nothing: the one before stays in force. A handshake sees one pair or the other, never
//     half of each.
//   - Closing is prompt. It ends what has not been handed out, removes the unix socket that was made here, and leaves alone what is
//     systemd's.
//
// The PROXY protocol: https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt. Socket activation: sd_listen_fds(3).
package listen
