package io.ksm4j.samples.cacheserver;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufUtil;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** What a client calls a value, and the tenant it means. Comparable, so that many keys of one hash code are still found fast. */
final class Key implements Comparable<Key> {

    /** Longer names are refused: they stand on the heap. */
    static final int MOST_BYTES = 64 << 10;

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
