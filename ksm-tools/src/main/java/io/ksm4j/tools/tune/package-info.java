/** {@code ksm tune}: controls {@code ksmd} by a policy, and serves metrics. */
package io.ksm4j.tools.tune;
