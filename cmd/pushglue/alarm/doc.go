// Package alarm tells people and supervisors that something is wrong: that jobs fail (Monitor), by a webhook too (Webhook), that a part
// of the daemon hangs (Watchdog), and whatever the log calls an error (Sentry).
package alarm
