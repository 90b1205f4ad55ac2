// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufUtil;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** The name of a value and its tenant. Comparable, so that look-ups stay fast if many keys have the same hash code. */
final class Key implements Comparable<Key> {

    /** The maximum length of a name. Names are stored on the heap. */
    static final int MAX_BYTES = 64 << 10;

    final int tenant;
    private final byte[] name;
    private final int hash;

    Key(int tenant, ByteBuf name) {
        this.tenant = tenant;
        this.name = ByteBufUtil.getBytes(name);
        this.hash = 31 * Arrays.hashCode(this.name) + tenant;
    }

    int bytes() {
        return name.length;
    }

    @Override
    public int hashCode() {
        return hash;
    }

    @Override
    public boolean equals(@Nullable Object other) {
        return other instanceof Key key && hash == key.hash && tenant == key.tenant && Arrays.equals(name, key.name);
    }

    @Override
    public int compareTo(Key other) {
        int tenants = Integer.compare(tenant, other.tenant);
        return tenants != 0 ? tenants : Arrays.compare(name, other.name);
    }
}
