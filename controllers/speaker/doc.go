// SPDX-License-Identifier: Apache-2.0

// Package speaker is the role that runs on every node: it decides which addresses this node announces and has the announcers do so.
//
// One loop observes (objects, members and links, all from memory), decides (a pure function of what was observed) and applies the
// complete desired set to each announcer. That path makes no API call, so it takes the same time when the API server is slow or away.
// Status objects and events are written beside it, by queues keyed by object, from the newest decision.
//
// The package knows announcers by their contract only and names none of them.
package speaker
