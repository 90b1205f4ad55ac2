/** What commands have in common: messages, exit statuses, JSON and sizes. */
package io.ksm4j.tools.output;
