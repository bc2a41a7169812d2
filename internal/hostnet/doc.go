// SPDX-License-Identifier: Apache-2.0

// Package hostnet is what every announcer needs of the network of this host, or of one network namespace on it: to do something inside a
// namespace, and to be told that something has changed there. A namespace is a handle that the caller keeps open; netns.None stands for the
// network that the process itself sees. Linux only.
//
// The package must not know what is announced, or what the kernel says: it passes on that there is news, and whoever wants to know reads anew.
//
// Inside may be called from any goroutine; it owns one thread for its length. One goroutine waits on Notices; any may close them.
package hostnet
