package io.ksm4j.control;

/** This kernel does not have the setting, or a container hides it. */
public final class NoSuchSettingException extends KsmSettingException {

    private static final long serialVersionUID = 1;

    NoSuchSettingException(KsmSetting setting, String message) {
        super(setting, message);
    }
}
