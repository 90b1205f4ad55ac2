/** What commands need to know about Linux processes, and how they call the kernel. */
package io.ksm4j.tools.linux;
