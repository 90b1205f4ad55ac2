/** What all commands use: messages, exit statuses, argument checks, JSON and byte counts. */
package io.ksm4j.tools.output;
